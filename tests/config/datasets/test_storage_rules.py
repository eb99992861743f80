from __future__ import annotations

from typing import Any

import pytest

CSV = {
    "type": "csv",
    "instance_data_dir": None,
    "csv_file": "https://host/links.csv",
    "csv_caption_column": "caption",
    "csv_cache_dir": "kept",
    "caption_strategy": "csv",
}
HUB = {
    "type": "huggingface",
    "instance_data_dir": None,
    "dataset_name": "owner/name",
    "caption_strategy": "huggingface",
    "metadata_backend": "huggingface",
}
AWS = {"type": "aws", "instance_data_dir": None, "aws_bucket_name": "bucket"}
SHARDS = {"type": "webshart", "instance_data_dir": None, "source": "s3://bucket/shards"}
TABLE = {"path": "https://host/t.parquet", "filename_column": "file", "caption_column": "text"}


@pytest.mark.parametrize(
    "keys",
    [
        CSV,
        HUB,
        HUB | {"caption_column": ["a", "b.c"], "split": "test", "revision": "main", "cache_dir": "hub"},
        HUB | {"huggingface": {"caption_column": "a"}, "caption_column": ["a"]},
        AWS,
        AWS | {"aws_access_key_id": "a", "aws_secret_access_key": "b", "aws_endpoint_url": "http://localhost:9000"},
        AWS | {"aws_data_prefix": "cats", "caption_strategy": "textfile"},
        AWS | {"metadata_backend": "parquet", "parquet": TABLE, "caption_strategy": "parquet"},
        SHARDS | {"caption_strategy": "webshart", "metadata_backend": "webshart"},
        SHARDS | {"caption_strategy": "textfile"},
        {"metadata_backend": "parquet", "parquet": TABLE, "caption_strategy": "parquet"},
        {"metadata_backend": "parquet", "parquet": {"path": "s3://b/t", "filename_column": "file"}},
    ],
)
def test_what_fits_is_accepted(project: Any, keys: dict[str, Any]) -> None:
    dataset = project.one(**keys)
    assert dataset.type == keys.get("type", "local")
    assert project.told(project.entry(**keys)) == []


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"instance_data_dir": ""}, "instance_data_dir: is missing, and type local needs it"),
        (AWS | {"aws_bucket_name": None}, "aws_bucket_name: is missing, and type aws needs it"),
        (AWS | {"aws_access_key_id": "a"}, "aws_secret_access_key: is missing, and the other half"),
        (AWS | {"aws_secret_access_key": "a"}, "aws_access_key_id: is missing, and the other half"),
        (AWS | {"aws_endpoint_url": "localhost:9000"}, "aws_endpoint_url: is no address"),
        (AWS | {"metadata_backend": "webshart"}, "metadata_backend: webshart goes with type webshart"),
        (CSV | {"csv_file": None}, "csv_file: is missing, and type csv needs it"),
        (CSV | {"csv_file": "nowhere.csv"}, "csv_file: there is no file "),
        (CSV | {"csv_cache_dir": None}, "csv_cache_dir: is missing"),
        (CSV | {"csv_caption_column": None}, "csv_caption_column: is missing"),
        (CSV | {"caption_strategy": "filename"}, "caption_strategy: type csv needs csv, not filename"),
        (CSV | {"metadata_backend": "parquet", "parquet": TABLE}, "parquet goes with type local or aws"),
        (HUB | {"dataset_name": None}, "dataset_name: is missing, and type huggingface needs it"),
        (HUB | {"caption_strategy": "textfile"}, 'add "caption_strategy": "huggingface"'),
        (HUB | {"metadata_backend": "discovery"}, "type huggingface needs huggingface, not discovery"),
        (HUB | {"streaming": True}, "is not functional"),
        (HUB | {"caption_column": "a", "huggingface": {"caption_column": "b"}}, "they differ"),
        (HUB | {"huggingface": {"width_column": "w"}}, "huggingface.height_column: is missing beside"),
        (SHARDS | {"source": None}, "source: is missing, and type webshart needs it"),
        (SHARDS | {"metadata_backend": "parquet", "parquet": TABLE}, 'use "webshart"'),
        ({"caption_strategy": "csv"}, "csv goes with type csv, and the type is local"),
        ({"caption_strategy": "huggingface"}, "huggingface goes with type huggingface"),
        ({"caption_strategy": "webshart"}, "webshart goes with type webshart"),
        ({"caption_strategy": "parquet"}, 'use "textfile" with text files beside the pictures, or add'),
        ({"metadata_backend": "huggingface"}, "huggingface goes with type huggingface"),
        ({"metadata_backend": "parquet"}, "parquet: is missing, and metadata_backend parquet needs it"),
        ({"metadata_backend": "parquet", "parquet": {"path": "x"}}, "parquet.filename_column: is missing"),
        ({"metadata_backend": "parquet", "parquet": TABLE | {"path": "no.parquet"}}, "parquet.path: there is no file"),
        ({"metadata_backend": "parquet", "parquet": TABLE | {"height_column": "h"}}, "parquet.width_column: is miss"),
        (
            {
                "metadata_backend": "parquet",
                "caption_strategy": "parquet",
                "parquet": TABLE | {"caption_column": ""},
            },
            "parquet.caption_column: is missing, and caption_strategy parquet needs it",
        ),
        ({"parquet": "table.parquet"}, 'write "parquet": { ... }'),
    ],
)
def test_what_does_not_fit_is_refused(project: Any, keys: dict[str, Any], told: str) -> None:
    said = project.refused(project.entry(**keys))
    assert "cats: " in said
    assert told in said


def test_masks_need_no_captions(project: Any) -> None:
    mask = {"id": "masks", "dataset_type": "conditioning", "conditioning_type": "mask"}
    project.set(caption_strategy="textfile")
    project.entries(
        project.entry(conditioning_data="masks"), CSV | mask | {"csv_caption_column": None, "caption_strategy": ""}
    )
    assert [dataset.id for dataset in project.load().datasets] == ["cats", "masks"]


def test_only_local_folders_must_exist(project: Any) -> None:
    project.entries(project.entry(), AWS | {"id": "far", "instance_data_dir": "nowhere"})
    notices = project.load().notices
    assert "data set far: not read: instance_data_dir (its type is aws)" in notices
