"""Input pictures from files: scaled, cut and told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from simpletuner.assemble.seeing.inputs import read_input
from simpletuner.data.entries import PictureError


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((64, 32), (64, 32)),
        ((100, 50), (96, 48)),
        ((300, 200), (128, 80)),
        ((40, 5), (32, 16)),
        ((2000, 16), (128, 16)),
    ],
)
def test_edges_are_multiples_and_none_is_too_long(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    Image.new("RGB", size, (255, 0, 0)).save(tmp_path / "a.png")
    made = read_input(tmp_path / "a.png", 128, 16)
    assert made.image.size == expected
    assert made.image.getpixel((0, 0)) == (255, 0, 0)
    assert made.name.startswith(f"a.png {expected[0]}x{expected[1]} ")


def test_a_picture_that_fits_keeps_every_pixel_and_others_lose_their_edges_evenly(tmp_path: Path) -> None:
    for more in (0, 1):
        stripes = Image.new("RGB", (48 + 2 * more, 16))
        stripes.paste((255, 255, 255), (16 + more, 0, 32 + more, 16))
        stripes.save(tmp_path / "a.png")
        row = read_input(tmp_path / "a.png", 64, 16).image.crop((0, 0, 48, 1)).convert("L")
        assert list(row.tobytes()) == [0] * 16 + [255] * 16 + [0] * 16


def test_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    names = set()
    for level in (0, 9):
        Image.new("RGB", (16, 16), (level, 0, 0)).save(tmp_path / "a.png")
        names.add(read_input(tmp_path / "a.png", 64, 16).name)
    assert len(names) == 2


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"nothing")
    with pytest.raises(PictureError, match=r"a\.png"):
        read_input(file, 64, 16)
    with pytest.raises(PictureError, match=r"no\.png: cannot be read"):
        read_input(tmp_path / "no.png", 64, 16)
