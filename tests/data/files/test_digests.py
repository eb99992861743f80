from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from simpletuner.data.cache.keys import content_digest
from simpletuner.data.entries import PictureError
from simpletuner.data.files.digests import Digests
from simpletuner.data.sources.folder import FolderSource


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    (tmp_path / "a.png").write_bytes(b"one")
    return FolderSource.at(str(tmp_path))


def test_what_is_known_needs_no_reading(source: FolderSource) -> None:
    digests = Digests({"b.png": "of b"})
    assert digests.get("b.png") == "of b"
    assert digests.get("a.png") is None
    assert digests.learned == {}


def test_reading_learns_the_digest_and_the_version_it_belongs_to(source: FolderSource) -> None:
    digests = Digests({})
    assert digests.read(source, "a.png") == (b"one", content_digest(b"one"))
    assert digests.get("a.png") == content_digest(b"one")
    assert digests.learned == {"a.png": (source.version("a.png"), content_digest(b"one"))}


def test_a_file_that_changed_after_all_gets_its_new_digest(source: FolderSource, tmp_path: Path) -> None:
    digests = Digests({"a.png": "of yesterday"})
    digests.read(source, "a.png")
    assert digests.get("a.png") == content_digest(b"one")


def test_a_file_that_changes_while_it_is_read_is_not_for_the_index(source: FolderSource, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Moving(FolderSource):
        def read(self, path: str) -> bytes:
            content = super().read(path)
            Path(self.address(path)).write_bytes(b"longer")
            return content

    digests = Digests({})
    moving = Moving(source.filesystem, source.root)
    assert digests.read(moving, "a.png") == (b"one", content_digest(b"one"))
    assert digests.get("a.png") == content_digest(b"one")
    assert digests.learned == {}


def test_a_missing_file_is_a_picture_error(source: FolderSource, tmp_path: Path) -> None:
    (tmp_path / "a.png").unlink()
    with pytest.raises(PictureError, match="cannot be read"):
        Digests({}).read(source, "a.png")


def test_threads_may_share_it(source: FolderSource, tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}.png").write_bytes(bytes([number]))
    digests = Digests({})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: digests.read(source, f"{number}.png"), [*range(50)] * 3))
    assert len(digests.learned) == 50
    assert all(digests.get(f"{number}.png") == content_digest(bytes([number])) for number in range(50))
