from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import pytest

from simpletuner.data.entries import PictureError, UnreachableError
from simpletuner.data.files.index import Known
from simpletuner.data.files.probe import Probe, checked_header, focus_of
from simpletuner.data.files.versions import unsettled
from simpletuner.data.places.geometry import Size
from simpletuner.data.sources.base import Facts
from simpletuner.data.sources.folder import FolderSource

KNOWN = Known("1", 64, 48)


class Silent(FolderSource):
    """A folder that answers nothing."""

    def open(self, path: str) -> IO[bytes]:
        raise ConnectionResetError(104, "Connection reset")

    def read(self, path: str) -> bytes:
        raise UnreachableError("cannot be read (Connection reset)", cure="try again")


def silent(folder: Path) -> Silent:
    whole = FolderSource.at(str(folder))
    return Silent(whole.filesystem, whole.root)


def test_a_face_that_could_not_be_looked_for_is_looked_for_again(tmp_path: Path) -> None:
    found = Probe("a.png", "1", KNOWN, face=True).run(silent(tmp_path))
    assert found.version == unsettled("1")
    assert found.reason == "cannot be read (Connection reset)"
    assert focus_of(found) is None


class Faulty(FolderSource):
    """A source that says in its own words why it cannot give a picture, as those of the hub and of shards do."""

    def open(self, path: str) -> IO[bytes]:
        try:
            return io.BytesIO(self.read(path))
        except PictureError as error:
            raise OSError(error.reason) from error

    def read(self, path: str) -> bytes:
        if path == "empty.png":
            raise PictureError('its column "image" is empty', cure="filter the row out")
        raise OSError("3 bytes came where 4 were asked for")


def test_the_words_of_a_source_are_kept(tmp_path: Path) -> None:
    whole = FolderSource.at(str(tmp_path))
    faulty = Faulty(whole.filesystem, whole.root)
    with pytest.raises(UnreachableError) as passing:
        checked_header(faulty, "a.png")
    assert passing.value.reason == "cannot be read (3 bytes came where 4 were asked for)"
    with pytest.raises(PictureError) as lasting:
        checked_header(faulty, "empty.png")
    assert (lasting.value.reason, lasting.value.cure) == ('its column "image" is empty', "filter the row out")
    with pytest.raises(UnreachableError, match=r"^cannot be read \(No such file or directory\)"):
        checked_header(whole, "gone.png")


def test_what_is_refused_is_not_looked_at_again(tmp_path: Path) -> None:
    refused = KNOWN._replace(reason="broken", cure="mend it")
    assert not Probe("a.png", "1", refused, face=True).needed
    assert Probe("a.png", "1", KNOWN, face=True).needed


def test_a_caption_is_read_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    known, source = KNOWN._replace(text=b"old", text_version="7"), FolderSource.at(str(tmp_path))
    assert Probe("a.png", "1", known, "a.txt", "8").run(source) == known._replace(text=b"words", text_version="8")
    gone = known._replace(text=None, text_version="")
    assert Probe("a.png", "1", known, "gone.txt", "8").run(source) == gone
    assert Probe("a.png", "1", known, "gone.txt").run(silent(tmp_path)) == gone
    assert Probe("a.png", "1", known).run(silent(tmp_path)) == known, "nobody asks for it"


def test_a_caption_out_of_reach_refuses_the_picture_this_time(tmp_path: Path) -> None:
    found = Probe("deep/a.png", "1", KNOWN, "deep/a.txt", "8").run(silent(tmp_path))
    assert found.reason == "its caption file a.txt cannot be read (Connection reset)"
    assert (found.version, found.text_version) == (unsettled("1"), "")


def test_the_size_of_a_table_is_not_kept(tmp_path: Path, pictures: Any) -> None:
    pictures.write(tmp_path / "a.png", 30, 20)
    source, facts = FolderSource.at(str(tmp_path)), Facts(size=Size(300, 200))
    told = Probe("a.png", "1", None, facts=facts)
    assert told.needed
    unread = told.run(silent(tmp_path))
    assert unread == Known("1")
    assert told.sized(unread) == Known("1", 300, 200)
    assert told.sized(Known("1", reason="broken")) == Known("1", reason="broken")
    assert not Probe("a.png", "1", unread, facts=facts).needed
    alone = Probe("a.png", "1", unread)
    assert alone.needed
    assert alone.run(source) == Known("1", 30, 20)
