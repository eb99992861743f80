from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from simpletuner.data.entries import PictureError
from simpletuner.data.files.headers import FORMATS, quiet_pillow, read_header
from simpletuner.data.files.images import open_rgb
from simpletuner.data.places.geometry import Size


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


@pytest.mark.parametrize("format_name", FORMATS)
def test_each_format_gives_its_size_and_is_complete(pictures: Any, format_name: str) -> None:
    header = read_header(io.BytesIO(pictures.encoded(pictures.gradient(48, 32), format_name)))
    assert (header.size, header.format, header.animated, header.complete) == (Size(48, 32), format_name, False, True)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_upright(pictures: Any, format_name: str, orientation: int) -> None:
    content = pictures.encoded(pictures.gradient(48, 32), format_name, exif=exif(orientation))
    assert read_header(io.BytesIO(content)).size == (Size(32, 48) if orientation >= 5 else Size(48, 32))


def test_an_orientation_behind_the_pixels_of_a_png_is_seen(pictures: Any) -> None:
    content = pictures.encoded(pictures.gradient(48, 32))
    assert content.endswith(png_chunk(b"IEND", b""))
    late = content[:-12] + png_chunk(b"eXIf", exif(6).tobytes().removeprefix(b"Exif\0\0")) + content[-12:]
    assert read_header(io.BytesIO(late)).size == Size(32, 48)


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG"])
def test_more_than_one_frame_is_told(pictures: Any, format_name: str) -> None:
    frames = [pictures.gradient(48, 32, shift) for shift in (0, 60, 120)]
    content = pictures.encoded(frames[0], format_name, save_all=True, append_images=frames[1:])
    assert read_header(io.BytesIO(content)).animated


def test_a_second_frame_of_a_gif_is_found_behind_comments_and_palettes(pictures: Any) -> None:
    frames = [pictures.gradient(48, 32, shift).quantize(16) for shift in (0, 60)]
    content = pictures.encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"words" * 200)
    assert read_header(io.BytesIO(content)).animated
    single = pictures.encoded(frames[0], "GIF", comment=b"words, words" * 200)
    assert not read_header(io.BytesIO(single)).animated
    for cut in range(len(single) - 200, len(single)):
        assert not read_header(io.BytesIO(single[:cut])).animated


def test_a_header_without_end_is_refused(pictures: Any) -> None:
    content = pictures.encoded(pictures.gradient(48, 32), "JPEG")
    comments = b"\xff\xfe\0\x02" * 20_000
    assert read_header(io.BytesIO(content[:2] + comments[:400] + content[2:])).complete
    with pytest.raises(PictureError, match="a damaged JPEG file"):
        read_header(io.BytesIO(content[:2] + comments + content[2:]))


def test_chunks_without_end_behind_the_pixels_are_refused(pictures: Any) -> None:
    content = pictures.encoded(pictures.gradient(48, 32))
    flood = content[:-12] + png_chunk(b"fLOD", b"") * 100_000 + content[-12:]
    with pytest.raises(PictureError, match="more than 100000 chunks"):
        read_header(io.BytesIO(flood))


@pytest.mark.parametrize("written", [b"Exif\0\0garbage", exif(99)])
def test_broken_exif_is_none(pictures: Any, written: Any) -> None:
    with quiet_pillow():
        content = pictures.encoded(pictures.gradient(48, 32), "JPEG", exif=written)
        assert read_header(io.BytesIO(content)).size == Size(48, 32)


def test_a_late_orientation_counts_where_there_is_no_room_for_a_second_picture(
    pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pictures.encoded(pictures.gradient(480, 320))
    late = content[:-12] + png_chunk(b"eXIf", exif(6).tobytes().removeprefix(b"Exif\0\0")) + content[-12:]
    monkeypatch.setattr("simpletuner.data.files.room.MEMORY", len(late) + 480 * 320 * 6)
    assert read_header(io.BytesIO(content)).size == Size(480, 320)
    for opening in (lambda: read_header(io.BytesIO(late)), lambda: open_rgb(late)):
        with pytest.raises(PictureError, match="too large to decode safely"):
            opening()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"just text", "not a readable picture"),
        (b"\n<!DOCTYPE html><html></html>", "HTML"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "PostScript"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(PictureError, match=reason) as caught:
        read_header(io.BytesIO(content))
    assert caught.value.cure


def test_a_format_outside_the_list_is_refused(pictures: Any) -> None:
    with pytest.raises(PictureError, match="supported format"):
        read_header(io.BytesIO(pictures.encoded(pictures.gradient(8, 8), "TGA")))


@pytest.mark.parametrize("quiet", [True, False])
@pytest.mark.parametrize("edge", [10_001, 13_000, 30_000])
def test_a_bomb_is_refused_by_its_header(edge: int, quiet: bool) -> None:
    header = struct.pack(">IIBBBBB", edge, edge, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(99)))
    with pytest.raises(PictureError, match="too large"):
        if quiet:
            with quiet_pillow():
                read_header(io.BytesIO(bomb))
        else:
            read_header(io.BytesIO(bomb))


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_a_missing_end_is_suspected_or_refused(pictures: Any, format_name: str) -> None:
    content = pictures.encoded(pictures.gradient(200, 150), format_name)
    for cut in range(1, 30):
        try:
            header = read_header(io.BytesIO(content[: len(content) * cut // 30]))
        except PictureError:
            continue
        assert not header.complete, f"cut at {cut}/30"


def test_bytes_after_the_end_are_no_suspicion(pictures: Any) -> None:
    content = pictures.encoded(pictures.gradient(20, 15), "JPEG")
    assert read_header(io.BytesIO(content + bytes(5000))).complete
