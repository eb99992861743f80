"""Where the pictures of a data set lie, and what is known of them beside the files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from simpletuner.config.datasets.blocks import HubColumns, ParquetTable
from simpletuner.config.option import Section, option

_READ = ("data",)


class StorageKeys(Section):
    """The storage of a data set. Paths are full; a URL stays as it is."""

    type: Literal["local", "aws", "csv", "huggingface", "webshart"] = option(
        "local", reads=_READ, refused={"memory": "is for embed caches, and caches lie on local disks"}
    )
    """Where the pictures lie: a folder, an S3-compatible store, URLs, a hub data set or tar shards."""
    instance_data_dir: Path | None = option(None, reads=_READ, examples=["datasets/my-pictures"])
    """The folder of the pictures, searched with the folders below it."""
    aws_bucket_name: str | None = option(None, reads=_READ, examples=["my-bucket"])
    """The bucket of `aws`."""
    aws_region_name: str | None = option(None, reads=_READ)
    """Region of the bucket."""
    aws_endpoint_url: str | None = option(None, reads=_READ)
    """Address of a store that is not Amazon's."""
    aws_access_key_id: SecretStr | None = option(None, reads=_READ)
    """Name of the access key; not given, the store's own ways to find one are used. Never shown."""
    aws_secret_access_key: SecretStr | None = option(None, reads=_READ)
    """The access key; `{env:NAME}` takes it from the environment. Never shown."""
    aws_data_prefix: str = option("", reads=_READ)
    """The folder in the bucket."""
    csv_file: str | None = option(None, reads=_READ, examples=["datasets/pictures.csv"])
    """The table of `csv`, a file on this machine."""
    csv_url_column: str = option("url", reads=_READ)
    """Column of the addresses."""
    csv_caption_column: str | None = option(None, reads=_READ, examples=["caption"])
    """Column of the captions."""
    csv_cache_dir: Path | None = option(None, reads=_READ, examples=["cache/csv"])
    """The folder where downloaded pictures stay."""
    dataset_name: str | None = option(None, reads=_READ, examples=["owner/name"])
    """The hub data set."""
    split: str = option("train", reads=_READ)
    """Split of the hub data set."""
    revision: str | None = option(None, reads=_READ)
    """Branch, tag or commit of the hub data set."""
    image_column: str = option("image", reads=_READ)
    """Column of the pictures."""
    caption_column: tuple[str, ...] = option((), reads=_READ)
    """Column of the captions, or several; `a.b` is the field `b` of the column `a`."""
    cache_dir: Path | None = option(None, reads=_READ)
    """The folder of what is downloaded from the hub."""
    num_proc: int = option(16, reads=_READ, ge=1)
    """Processes that prepare the hub data set."""
    streaming: bool = option(
        default=False, reads=("config",), refused={"true": "is not functional: each picture is used by its number"}
    )
    """Read the hub data set while it is downloaded."""
    huggingface: HubColumns = option(HubColumns(), reads=_READ)
    """Columns and filters of the hub data set."""
    source: str | None = option(None, reads=_READ, examples=["datasets/shards"])
    """The tar shards of `webshart`: a URL or a full path."""
    metadata_backend: Literal["discovery", "parquet", "huggingface", "webshart", "json"] = option(
        "discovery", reads=_READ
    )
    """Where sizes and captions are found: in the files, or in a table; `json` is an old name of `discovery`."""
    parquet: ParquetTable | None = option(None, reads=_READ)
    """The table of `metadata_backend` `parquet`."""


KEYS_OF_TYPE: dict[str, tuple[str, ...]] = {
    "local": ("instance_data_dir",),
    "aws": tuple(
        "aws_bucket_name aws_region_name aws_endpoint_url aws_access_key_id aws_secret_access_key "
        "aws_data_prefix".split()
    ),
    "csv": ("csv_file", "csv_url_column", "csv_caption_column", "csv_cache_dir"),
    "huggingface": tuple(
        "dataset_name split revision image_column caption_column cache_dir num_proc streaming huggingface".split()
    ),
    "webshart": ("source",),
}
