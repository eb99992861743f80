from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from simpletuner.assemble.data.scanning import scan_indexed
from simpletuner.core.errors import DataError
from simpletuner.core.events import Event, Notice
from simpletuner.data.captions.candidates import CaptionSpec
from simpletuner.data.files.scan import ScannedDataset, ScanSpec
from simpletuner.data.places.geometry import GeometrySpec
from simpletuner.data.sources.base import Listing
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
        "UPDATE facts SET value = CAST(x'FFFE' AS TEXT)",
    ],
    ids=["no text", "no column", "no text in the facts"],
)
def test_an_index_with_a_damaged_row_is_made_anew_and_told(index: Path, harm: str) -> None:
    with closing(sqlite3.connect(index)) as connection, connection:
        connection.execute(harm)
    heard: list[str] = []
    assert scanned(index, heard) == ["a.png", "b.png"]
    assert heard == ['data set "cats": its index was damaged and is made anew']
    assert scanned(index, heard) == ["a.png", "b.png"]
    assert len(heard) == 1, "it is whole again"
    assert sorted(path.name for path in index.parent.glob("*damaged*")) == ["index-cats.sqlite.damaged"]


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


class Tagged(FolderSource):
    """A folder whose files never change, and that notes which of them are opened."""

    def listing(self) -> Listing:
        found = super().listing()
        return replace(found, pictures=dict.fromkeys(found.pictures, "tag"))

    def open(self, path: str) -> IO[bytes]:
        with (Path(self.root).parent / "opened.txt").open("a") as opened:
            opened.write(f"{path}\n")
        return super().open(path)


def refused(path: Path) -> tuple[dict[str, str], list[str], tuple[str, ...]]:
    """What is left out, by name with the reason; what was opened to know it; what changed."""
    folder, opened = FolderSource.at(str(path.parents[1] / "cats")), path.parents[1] / "opened.txt"
    opened.write_text("")
    found = scan_indexed(SPEC, Tagged(folder.filesystem, folder.root), path, lambda _: None)
    reasons = {item.file: item.reason for item in found.dropped}
    return reasons, sorted(set(opened.read_text().split())), found.changes.lines()


def test_a_refusal_lives_as_long_as_the_rules_it_was_made_under(tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    (tmp_path / "cats/c.png").write_text("no picture")
    path = tmp_path / "cache/index-cats.sqlite"
    really, opened, _ = refused(path)
    assert (list(really), opened) == (["c.png"], ["a.png", "b.png", "c.png"])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE pictures SET reason = 'too new', cure = 'wait' WHERE path = 'a.png'")
    assert refused(path) == ({"a.png": "too new", **really}, [], ())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE facts SET value = 'Pillow 1' WHERE name = 'rules'")
    assert refused(path) == (really, ["a.png", "c.png"], ())
    assert refused(path) == (really, [], ())
