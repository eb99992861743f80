"""From what a data set says of its place to the source that reads it."""

from __future__ import annotations

from typing import assert_never

from simpletuner.core.errors import ConfigError
from simpletuner.data.sources.base import Source
from simpletuner.data.sources.bucket import BucketSource, BucketSpec
from simpletuner.data.sources.csv import CsvSource, CsvSpec
from simpletuner.data.sources.folder import FolderSource, FolderSpec
from simpletuner.data.sources.hub import HubSource, HubSpec
from simpletuner.data.sources.shards import ShardSource, ShardSpec
from simpletuner.data.sources.tables import TableSource, TableSpec

SourceSpec = FolderSpec | BucketSpec | HubSpec | CsvSpec | ShardSpec


def open_source(spec: SourceSpec, table: TableSpec | None = None) -> Source:
    """The source of a place, with the table that describes its pictures, if there is one.

    Raises:
        ConfigError: the folder does not exist, a package is missing, or the place has a table of its own already.
    """
    source = _open(spec)
    if table is None:
        return source
    if not isinstance(spec, FolderSpec | BucketSpec):
        raise ConfigError(
            "a table describes the pictures of a folder or a bucket; this source has its own",
            file=source.where,
            key="metadata_backend",
            cure="leave the parquet block out",
        )
    return TableSource(source, table)


def _open(spec: SourceSpec) -> Source:
    match spec:
        case FolderSpec() if spec.folder.startswith("s3://"):
            # The bucket's own reader checks what comes and tries again.
            bucket, _, prefix = spec.folder.removeprefix("s3://").partition("/")
            return BucketSource(BucketSpec(bucket, prefix))
        case FolderSpec():
            return FolderSource.at(spec.folder)
        case BucketSpec():
            return BucketSource(spec)
        case HubSpec():
            return HubSource(spec)
        case CsvSpec():
            return CsvSource(spec)
        case ShardSpec():
            return ShardSource(spec)
        case _:
            assert_never(spec)
