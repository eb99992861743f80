from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from simpletuner.data.files.headers import FORMATS
from simpletuner.data.files.magic import FIRST_BYTES, what_it_holds


def test_an_empty_file_and_a_page_are_told() -> None:
    assert what_it_holds(b"") == "the file is empty"
    for page in (b"<html>", b"\n <!DOCTYPE html>", b"\xef\xbb\xbf<?xml ", b"<svg/>"):
        assert "HTML, SVG or XML" in what_it_holds(page)


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_damaged_picture_of_our_own_formats_has_its_name(pictures: Any, format_name: str) -> None:
    start = pictures.encoded(pictures.gradient(48, 32), format_name)[:FIRST_BYTES]
    assert f"a damaged {format_name} file".lower() in what_it_holds(start).lower()


@pytest.mark.parametrize(("format_name", "name"), [("ICO", "an icon"), ("PDF", "a PDF"), ("JPEG2000", "JPEG 2000")])
def test_foreign_pictures_have_their_names(pictures: Any, format_name: str, name: str) -> None:
    assert name in what_it_holds(pictures.encoded(pictures.gradient(48, 32), format_name))


def test_other_files_have_their_names() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("a", "b")
    for content, name in (
        (archive.getvalue(), "ZIP"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"%!PS-Adobe", "PostScript"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypisom", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    ):
        assert f"holds {name}" in what_it_holds(content) or f"holds a {name}" in what_it_holds(content)


def test_nothing_is_made_up_about_other_bytes() -> None:
    assert what_it_holds(b"a letter to a cat") == ""
    assert what_it_holds(bytes(FIRST_BYTES)) == ""
