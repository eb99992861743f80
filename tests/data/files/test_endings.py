from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from simpletuner.data.files.endings import has_end
from simpletuner.data.files.headers import FORMATS
from tests.data.bad_corpus import photo


def ends(content: bytes, pixels: int = 0) -> bool:
    stream = io.BytesIO(content)
    return has_end(Image.open(stream), stream, pixels)


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_whole_file_ends_and_so_does_one_with_a_trailer(pictures: Any, format_name: str) -> None:
    content = pictures.encoded(pictures.gradient(48, 32), format_name)
    assert ends(content)
    if format_name not in ("AVIF", "GIF"):
        assert ends(content + b"trailer" * 500)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("cut", [13, 40, 400])
def test_a_cut_file_does_not(pictures: Any, format_name: str, cut: int) -> None:
    assert not ends(pictures.encoded(photo(120, 90), format_name)[:-cut])


def test_tiles_and_strips_are_looked_at(pictures: Any) -> None:
    content = pictures.encoded(pictures.gradient(120, 90), "TIFF", strip_size=4000)
    assert ends(content)
    assert not ends(content[:-1])


def test_the_mark_of_a_preview_in_the_header_is_not_taken_for_the_end(pictures: Any) -> None:
    preview = pictures.encoded(pictures.gradient(24, 16), "JPEG")
    content = pictures.encoded(pictures.gradient(120, 90), "JPEG", comment=preview)
    pixels = content.rindex(b"\xff\xda")
    assert ends(content, pixels)
    assert ends(content[:-2])
    assert not ends(content[:-2], pixels)


def test_the_last_box_of_an_avif_may_be_open_or_long(pictures: Any) -> None:
    content = pictures.encoded(pictures.gradient(48, 32), "AVIF")
    image = Image.open(io.BytesIO(content))
    for tail, whole in (
        (b"\0\0\0\x0cfreeabcd", True),
        (b"\0\0\0\x10freeabcd", False),
        (b"\0\0\0\0freeabcdefgh", True),
        (b"\0\0\0\1free" + (20).to_bytes(8) + b"abcd", True),
        (b"\0\0\0\1free" + (21).to_bytes(8) + b"abcd", False),
    ):
        assert has_end(image, io.BytesIO(content + tail), 0) is whole
