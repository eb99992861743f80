from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from simpletuner.assemble.scanning import scan_indexed
from simpletuner.core.errors import DataError
from simpletuner.core.events import Event, Notice
from simpletuner.data.captions.candidates import CaptionSpec
from simpletuner.data.files.scan import ScannedDataset, ScanSpec
from simpletuner.data.places.geometry import GeometrySpec
from simpletuner.data.sources.folder import FolderSource
from tests.assemble.conftest import write_scenes

SPEC = ScanSpec("cats", GeometrySpec(64), CaptionSpec())


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Where the index of two pictures lies, after a scan."""
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    path = tmp_path / "cache/index-cats.sqlite"
    assert scanned(path) == ["a.png", "b.png"]
    return path


def scanned(path: Path, heard: list[str] | None = None) -> list[str]:
    def hear(event: Event) -> None:
        if isinstance(event, Notice) and heard is not None:
            heard.append(event.text)

    found: ScannedDataset = scan_indexed(SPEC, FolderSource.at(str(path.parents[1] / "cats")), path, hear)
    return list(found.table.paths)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE pictures SET reason = CAST(x'FFFE' AS TEXT) WHERE path = 'a.png'",
        "ALTER TABLE pictures RENAME COLUMN focus TO face",
    ],
    ids=["no text", "no column"],
)
def test_an_index_with_a_damaged_row_is_made_anew_and_told(index: Path, harm: str) -> None:
    with closing(sqlite3.connect(index)) as connection, connection:
        connection.execute(harm)
    heard: list[str] = []
    assert scanned(index, heard) == ["a.png", "b.png"]
    assert heard == ['data set "cats": its index was damaged and is made anew']
    assert scanned(index, heard) == ["a.png", "b.png"]
    assert len(heard) == 1, "it is whole again"


def test_an_index_that_cannot_be_opened_is_no_damage(index: Path) -> None:
    index.unlink()
    index.mkdir()
    with pytest.raises(DataError, match="its index cannot be used") as caught:
        scanned(index)
    assert (caught.value.key, caught.value.file) == ("cache_dir_vae", index)
    assert index.is_dir()


def test_a_file_where_the_cache_should_be(tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png"])
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(DataError, match="its index cannot be used"):
        scanned(tmp_path / "cache/index-cats.sqlite")
    assert (tmp_path / "cache").read_text() == "mine"
