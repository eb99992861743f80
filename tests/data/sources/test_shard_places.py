from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.data.sources.shard_places import open_shards, shard_fault, shard_faults, shard_unlisted


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("https://example.org/a.tar", "not read over http"),
        ("foo://bar", "foo"),
        ("gs://bucket/shards", "gcsfs"),
        ("dbfs://shards", "not read there"),
        ("hf://name", "namespace/name"),
        ("memory://nothing", "no such folder"),
        ("gone", "no such folder"),
    ],
)
def test_a_place_that_is_none_is_a_mistake_in_source(source: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        open_shards(source)
    assert (caught.value.key, caught.value.file) == ("source", source)
    assert caught.value.cure


def test_one_shard_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.tar").touch()
    assert open_shards(str(tmp_path))[1] == ""
    folder, name = open_shards(str(tmp_path / "a.tar"))
    assert (folder.where, name) == (str(tmp_path), "a.tar")


@pytest.mark.parametrize("source", ["/shards", "hf://datasets/no/such"])
def test_only_a_bucket_is_called_a_bucket(source: str) -> None:
    gone = shard_unlisted(FileNotFoundError(2, "No such file"), source)
    assert isinstance(gone, ConfigError)
    assert "bucket" not in str(gone)
    refused = shard_unlisted(PermissionError(13, "Permission denied"), source)
    assert isinstance(refused, DataError)
    assert "Permission denied" in refused.reason
    assert shard_fault(PermissionError(13, "Permission denied"), source) == "Permission denied"
    assert "no bucket" in str(shard_unlisted(FileNotFoundError(), "s3://name/shards"))
    assert shard_fault(PermissionError(), "s3://name") == "the store refuses the credentials"


def test_a_network_fault_of_the_hub_is_known() -> None:
    errors = pytest.importorskip("huggingface_hub.errors")
    assert issubclass(errors.HfHubHTTPError, shard_faults("hf://datasets/no/such"))
    assert shard_fault(ValueError("one\ntwo"), "hf://datasets/no/such") == "one"
    assert shard_faults("/shards") == (OSError,)
