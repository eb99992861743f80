from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simpletuner.data.entries import PictureError
from simpletuner.data.files.avif import Frames, frames_of
from simpletuner.data.files.headers import read_header
from simpletuner.data.files.images import open_rgb
from simpletuner.data.places.geometry import Size
from tests.data.bad_corpus import encoded, exif
from tests.data.files.test_room import assert_promised

SMALL = Size(64, 48)
STILL = encoded(Image.new("RGB", (64, 48), (200, 10, 30)), "AVIF")
MOVING = encoded(Image.new("RGB", (64, 48)), "AVIF", save_all=True, append_images=[Image.new("RGB", (64, 48), "red")])


def forged(edge: int, told: Size = SMALL) -> bytes:
    """A still picture of 64x48 whose AV1 header says ``edge``: both sides get 14 bits, which are 2 bytes more."""
    start = STILL.index(b"mdat") + 4
    assert STILL[start : start + 3] == b"\x12\0\x0a"
    length = STILL[start + 3]
    bits = f"{int.from_bytes(STILL[start + 4 : start + 4 + length]):0{8 * length}b}"
    before, sides, after = bits[:10], bits[10:30], bits[30:]
    assert sides == f"{5:04b}{5:04b}{63:06b}{47:06b}"
    header = int(f"{before}{13:04b}{13:04b}{edge - 1:014b}{edge - 1:014b}{after}", 2).to_bytes(length + 2)
    content = STILL[: start + 3] + bytes([length + 2]) + header + STILL[start + 4 + length :]
    container = bytearray(content)
    place = STILL.index(b"iloc") + 22
    for at in (place, start - 8):
        container[at : at + 4] = (int.from_bytes(container[at : at + 4]) + 2).to_bytes(4)
    sides_at = STILL.index(b"ispe") + 8
    container[sides_at : sides_at + 8] = told.width.to_bytes(4) + told.height.to_bytes(4)
    return bytes(container)


def frames(content: bytes) -> Frames:
    return frames_of(io.BytesIO(content))


@pytest.mark.parametrize("size", [(1, 1), (65, 1), (97, 51), (256, 255), (1300, 700)])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_the_frame_of_a_still_picture(size: tuple[int, int], subsampling: str) -> None:
    found = frames(encoded(Image.new("RGB", size, (1, 2, 3)), "AVIF", subsampling=subsampling, speed=9))
    assert found == Frames((Size(*size),), (Size(*size),))


def test_alpha_and_the_pictures_of_an_animation_have_frames_too() -> None:
    assert frames(encoded(Image.new("RGBA", (64, 48), (1, 2, 3, 4)), "AVIF")) == Frames((SMALL, SMALL), (SMALL,))
    assert frames(MOVING) == Frames((SMALL, SMALL), (SMALL,))


def test_a_turned_picture_has_the_size_of_its_frame() -> None:
    content = encoded(Image.new("RGB", (64, 48)), "AVIF", exif=exif(6))
    assert frames(content).all == (SMALL,)
    assert read_header(io.BytesIO(content)).size == Size(48, 64)


def test_a_frame_larger_than_there_is_room_for_is_refused_unread(tmp_path: Path) -> None:
    content = forged(16_384)
    assert Image.open(io.BytesIO(content)).size == (64, 48)
    assert frames(content).primary == (Size(16_384, 16_384),)
    for use in (open_rgb, lambda content: read_header(io.BytesIO(content))):
        with pytest.raises(PictureError, match="too large to decode safely: frames of 16384x16384"):
            use(content)
    (tmp_path / "forged.avif").write_bytes(content)
    assert_promised(tmp_path, {"forged.avif"})


def test_a_frame_of_another_size_than_the_container_says_is_refused() -> None:
    with pytest.raises(PictureError, match="its container says 64x48 pixels, and its frames are 1000x1000"):
        open_rgb(forged(1000))


@pytest.mark.parametrize(
    "change", [lambda data: data.replace(b"av01", b"av99"), lambda data: data[: data.index(b"mdat") + 4]]
)
def test_no_frame_is_a_refusal(change: Callable[[bytes], bytes]) -> None:
    content = change(STILL)
    assert frames(content).all == ()
    with pytest.raises(PictureError):
        open_rgb(content)


def wide(base: int, first: int, *, method: int = 0) -> bytes:
    """The place of :data:`STILL`'s item in the widest form: two pieces, of which the second ends with the file."""
    box = b"iloc\2\0\0\0\x88\x84" + (1).to_bytes(4) + (1).to_bytes(4) + method.to_bytes(2) + bytes(2)
    box += base.to_bytes(8) + (2).to_bytes(2)
    box += bytes(4) + first.to_bytes(8) + (3).to_bytes(8) + bytes(4) + (first + 3).to_bytes(8) + bytes(8)
    return (len(box) + 4).to_bytes(4) + box


def test_pieces_and_places_of_every_width() -> None:
    data, start, end = STILL.index(b"mdat") + 4, STILL.index(b"iloc") - 4, STILL.index(b"iinf") - 4
    grown = len(wide(0, 0)) - (end - start)
    meta = STILL.index(b"meta") - 4
    length = (int.from_bytes(STILL[meta : meta + 4]) + grown).to_bytes(4)
    for base, first in ((0, data + grown), (100, data + grown - 100)):
        content = STILL[:meta] + length + STILL[meta + 4 : start] + wide(base, first) + STILL[end:]
        assert frames(content) == Frames((SMALL,), (SMALL,))


def test_an_item_in_the_meta_box_itself() -> None:
    data, start, end = STILL.index(b"mdat") + 4, STILL.index(b"iloc") - 4, STILL.index(b"iinf") - 4
    meta, mdat = STILL.index(b"meta") - 4, data - 8
    inside = (
        STILL[meta + 4 : start]
        + wide(0, 0, method=1)
        + STILL[end:mdat]
        + STILL[mdat : mdat + 4]
        + b"idat"
        + STILL[data:]
    )
    content = STILL[:meta] + (len(inside) + 4).to_bytes(4) + inside
    assert frames(content) == Frames((SMALL,), (SMALL,))


def test_what_no_picture_has_is_an_error() -> None:
    units = STILL[: STILL.index(b"mdat") + 4] + b"\x12\0" * 400
    place = STILL.index(b"iloc") + 22
    for content, reason in (
        (units[:place] + (800).to_bytes(4) + units[place + 4 :], "units"),
        (b"\0\0\0\x08free" * 1001, "boxes"),
        (b"\0\0\0\x01meta" + (1 << 40).to_bytes(8), "large"),
    ):
        with pytest.raises(ValueError, match=reason):
            frames(content)


@given(st.sampled_from((STILL, MOVING)), st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), max_size=12))
def test_no_change_of_bytes_breaks_it(whole: bytes, changes: list[tuple[int, int]]) -> None:
    content = bytearray(whole)
    for place, value in changes:
        content[place % len(content)] = value
    told_or_refused(bytes(content))


@given(st.binary(max_size=400), st.integers(0, 330))
def test_no_bytes_break_it(noise: bytes, kept: int) -> None:
    told_or_refused(STILL[:kept] + noise)


def told_or_refused(content: bytes) -> None:
    try:
        found = frames(content)
    except (ValueError, EOFError):
        return
    assert all(size.width > 0 and size.height > 0 for size in found.all)
    assert set(found.primary) <= set(found.all)
