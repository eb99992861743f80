from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.data.sources.bucket import BucketSource, BucketSpec
from simpletuner.data.sources.csv import CsvSource, CsvSpec
from simpletuner.data.sources.folder import FolderSource, FolderSpec
from simpletuner.data.sources.hub import HubSource, HubSpec
from simpletuner.data.sources.open import open_source
from simpletuner.data.sources.shards import ShardSource, ShardSpec
from simpletuner.data.sources.tables import TableSource, TableSpec


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (FolderSpec, FolderSource),
        (lambda _folder: FolderSpec("s3://cats/small"), BucketSource),
        (lambda _folder: BucketSpec("cats"), BucketSource),
        (lambda folder: CsvSpec("list.csv", "caption", folder), CsvSource),
        (HubSpec, HubSource),
        (ShardSpec, ShardSource),
    ],
)
def test_each_place_has_its_source(tmp_path: Path, spec: Any, kind: type) -> None:
    source = open_source(spec(str(tmp_path)))
    assert type(source) is kind
    assert source.where


def test_an_address_of_a_bucket_is_read_by_the_bucket(tmp_path: Path) -> None:
    assert open_source(FolderSpec("s3://cats/small/grey")).where == "s3://cats/small/grey"


def test_a_table_describes_a_folder_or_a_bucket(tmp_path: Path) -> None:
    table = TableSpec("table.parquet", "file")
    assert isinstance(open_source(FolderSpec(str(tmp_path)), table), TableSource)
    assert isinstance(open_source(BucketSpec("cats"), table), TableSource)
    with pytest.raises(ConfigError, match="has its own") as caught:
        open_source(HubSpec("owner/set"), table)
    assert caught.value.key == "metadata_backend"
