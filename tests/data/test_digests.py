from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from simpletuner.data import digests
from simpletuner.data.digests import DigestMemory
from simpletuner.data.entries import PictureError
from simpletuner.data.keys import content_digest
from simpletuner.data.sources import FolderSource


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderSource:
    """A folder whose files count as settled at once."""
    monkeypatch.setattr(digests, "_SETTLED_SECONDS", -1.0)
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.png").write_bytes(b"one")
    return FolderSource.at(str(tmp_path / "set"))


def test_a_digest_is_remembered_by_the_next_start(tmp_path: Path, source: FolderSource) -> None:
    memory = DigestMemory(tmp_path / "cache")
    assert memory.remembered(source, "a.png") is None
    assert memory.read(source, "a.png") == (b"one", content_digest(b"one"))
    memory.save()
    assert DigestMemory(tmp_path / "cache").remembered(source, "a.png") == content_digest(b"one")


def test_a_changed_or_missing_file_is_not_remembered(tmp_path: Path, source: FolderSource) -> None:
    memory = DigestMemory(tmp_path / "cache")
    memory.read(source, "a.png")
    time.sleep(0.02)
    (tmp_path / "set/a.png").write_bytes(b"two")
    assert memory.remembered(source, "a.png") is None
    (tmp_path / "set/a.png").unlink()
    assert memory.remembered(source, "a.png") is None
    with pytest.raises(PictureError):
        memory.read(source, "a.png")


def test_a_file_touched_just_now_is_read_again(
    tmp_path: Path, source: FolderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED_SECONDS", 60.0)
    memory = DigestMemory(tmp_path / "cache")
    memory.read(source, "a.png")
    assert memory.remembered(source, "a.png") is None


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"/x": 3}', '{"/x": ["only one"]}', '{"/x": [1, 2]}', "\udcff"])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, source: FolderSource, content: str) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/digests.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    memory = DigestMemory(tmp_path / "cache")
    memory.read(source, "a.png")
    memory.save()
    assert list(json.loads((tmp_path / "cache/digests.json").read_text())) == [source.address("a.png")]


def test_two_folders_share_one_memory(tmp_path: Path, source: FolderSource) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a.png").write_bytes(b"two")
    other = FolderSource.at(str(tmp_path / "other"))
    memory = DigestMemory(tmp_path / "cache")
    memory.read(source, "a.png")
    memory.read(other, "a.png")
    assert memory.remembered(source, "a.png") == content_digest(b"one")
    assert memory.remembered(other, "a.png") == content_digest(b"two")
