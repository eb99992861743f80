from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from simpletuner.core.errors import DataError
from simpletuner.validation.save import EXTENSIONS, PictureFormat, read_facts, save_picture

FACTS = {"prompt": "a red cat\nin two lines", "seed": "42", "negative_prompt": "日本語 🐱 é", "guidance": "2.5"}


@pytest.fixture
def image() -> Image.Image:
    return Image.linear_gradient("L").resize((32, 16)).convert("RGB")


@pytest.mark.parametrize("picture_format", ["png", "webp", "jpeg"])
def test_facts_come_back_from_every_format(picture_format: PictureFormat, image: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"a.{EXTENSIONS[picture_format]}"
    save_picture(image, path, picture_format, 90, FACTS)
    assert read_facts(path) == FACTS
    with Image.open(path) as reread:
        assert (reread.size, reread.format) == ((32, 16), picture_format.upper())
    assert list(path.parent.iterdir()) == [path]


def test_png_holds_plain_text_entries_and_the_very_pixels(image: Image.Image, tmp_path: Path) -> None:
    save_picture(image, tmp_path / "a.png", "png", 1, {"seed": "42"})
    assert b"tEXtseed\x0042" in (tmp_path / "a.png").read_bytes()
    with Image.open(tmp_path / "a.png") as reread:
        assert reread.tobytes() == image.tobytes()


@pytest.mark.parametrize("picture_format", ["webp", "jpeg"])
def test_quality_reaches_the_lossy_formats(picture_format: PictureFormat, tmp_path: Path) -> None:
    noise = Image.effect_noise((64, 64), 80)
    for quality in (10, 95):
        save_picture(noise, tmp_path / f"{quality}", picture_format, quality, {})
    assert (tmp_path / "10").stat().st_size < (tmp_path / "95").stat().st_size


def test_a_picture_of_others_has_no_facts(image: Image.Image, tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.webp"):
        image.save(tmp_path / name)
        assert read_facts(tmp_path / name) == {}
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0not json"
    image.save(tmp_path / "b.jpg", exif=exif)
    assert read_facts(tmp_path / "b.jpg") == {}


def test_a_broken_picture_is_named(image: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save_picture(image, path, "png", 90, FACTS)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"a\.png"):
        read_facts(path)
