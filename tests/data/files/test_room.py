from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from simpletuner.data.entries import PictureError
from simpletuner.data.files.headers import read_header
from simpletuner.data.files.images import open_rgb
from simpletuner.data.files.room import MEMORY, make_room, require_few_scans, too_large
from simpletuner.data.places.geometry import Size
from tests.data.bad_corpus import corpus, encoded, exif, flat_png, photo, scan_flood, tiled_tiff

PROMISED_MIB = 300 * 10**6 / 2**20
PROMISED_SECONDS = 10.0


def flat(mode: str, edge: int) -> Image.Image:
    return Image.new(mode, (edge, edge), 90)


def profile() -> bytes:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))


# Pictures as large as they may be, and what is just too large or too slow: small files, all of them.
LARGE: dict[str, Callable[[], bytes]] = {
    "colour.png": lambda: flat_png(7700, 7700, 8, 2),
    "alpha.png": lambda: flat_png(5400, 5400, 8, 6),
    "deep.png": lambda: flat_png(6200, 6200, 16),
    "one_bit.png": lambda: flat_png(6900, 6900, 1),
    "tall.png": lambda: flat_png(1, 4_000_000, 8, 6),
    "photo.jpg": lambda: encoded(flat("RGB", 7600), "JPEG"),
    "halved.jpg": lambda: encoded(flat("RGB", 13_000), "JPEG"),
    "turned.jpg": lambda: encoded(flat("RGB", 5400), "JPEG", exif=exif(6)),
    "turned_and_halved.jpg": lambda: encoded(flat("RGB", 8000), "JPEG", exif=exif(6)),
    "managed.jpg": lambda: encoded(flat("RGB", 5400), "JPEG", icc_profile=profile()),
    "cmyk.jpg": lambda: encoded(flat("CMYK", 5400), "JPEG"),
    "progressive.jpg": lambda: encoded(flat("RGB", 4890), "JPEG", progressive=True, subsampling=0),
    "many_scans.jpg": lambda: scan_flood(9500, 39),
    "too_many_scans.jpg": lambda: scan_flood(9500, 41),
    "canvas.webp": lambda: encoded(flat("RGB", 3800), "WEBP", method=0),
    "alpha.webp": lambda: encoded(flat("RGBA", 3400), "WEBP", method=0, lossless=True, quality=0, exif=exif(6)),
    "colour.avif": lambda: encoded(flat("RGB", 3800), "AVIF", speed=10, subsampling="4:4:4"),
    "palette.gif": lambda: encoded(flat("P", 6900), "GIF"),
    "one_strip.tif": lambda: encoded(flat("RGB", 5800), "TIFF", compression="tiff_adobe_deflate", strip_size=1 << 30),
    "float.tif": lambda: encoded(Image.new("F", (5300, 5300), 0.5), "TIFF", compression="tiff_adobe_deflate"),
    "tile.tif": lambda: tiled_tiff(14_000, 14_000),
}
USUAL = ("colour.png", "deep.png", "turned_and_halved.jpg", "tile.tif")


def measured(folder: Path) -> dict[str, tuple[float, float]]:
    """Peak memory in MiB and seconds that opening each file of a folder takes, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("peaks.py")), str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {name: (float(peak), float(seconds)) for name, peak, seconds in rows}


def assert_promised(folder: Path, expected: set[str]) -> None:
    found = measured(folder)
    assert found.keys() == expected
    assert {name: peak for name, (peak, _) in found.items() if peak >= PROMISED_MIB} == {}
    assert {name: seconds for name, (_, seconds) in found.items() if seconds >= PROMISED_SECONDS} == {}


def test_no_file_of_the_corpus_takes_much_memory_or_time(tmp_path: Path) -> None:
    names = set()
    for number, case in enumerate(corpus()):
        if isinstance(case.make, bytes):
            names.add(f"{number}.bin")
            (tmp_path / f"{number}.bin").write_bytes(case.make)
    assert_promised(tmp_path, names)


@pytest.mark.parametrize(
    "names", [USUAL, pytest.param([name for name in LARGE if name not in USUAL], marks=pytest.mark.long)]
)
def test_no_large_picture_takes_more_than_was_promised(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_bytes(LARGE[name]())
    assert_promised(tmp_path, set(names))


@pytest.mark.parametrize("scale", [2, 4])
def test_a_jpeg_is_opened_at_a_fraction_of_its_size(scale: int) -> None:
    shift = scale - 1
    content = encoded(Image.new("L", (1200 * scale - shift, 800 * scale), 90), "JPEG")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simpletuner.data.files.room.MEMORY", len(content) + 6_000_000)
        patch.setattr("simpletuner.data.files.room._PLENTY", 800_000)
        header = read_header(io.BytesIO(content))
        opened = open_rgb(content)
    assert header.size == Size(1200, 800)
    assert opened.size == (1200, 800)


def test_a_fraction_shows_the_same_picture() -> None:
    image = photo(4800, 3600)
    content = encoded(image, "JPEG", quality=95, exif=exif(3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simpletuner.data.files.room.MEMORY", len(content) + 60_000_000)
        patch.setattr("simpletuner.data.files.room._PLENTY", 1_000_000)
        half = open_rgb(content)
    expected = image.transpose(Image.Transpose.ROTATE_180).reduce(2)
    assert half.size == expected.size
    pairs = zip(half.resize((48, 36)).tobytes(), expected.resize((48, 36)).tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 4


def test_other_formats_are_refused_with_the_memory_they_need() -> None:
    image = Image.new("RGB", (4000, 2000))
    image.format = "PNG"
    make_room(image, MEMORY - 32_100_000, turned=False)
    with pytest.raises(PictureError, match="4000x2000 pixels need 241 MB, at most 240 MB") as caught:
        make_room(image, MEMORY - 32_000_000, turned=False)
    assert "scale the picture down" in str(caught.value.cure)
    with pytest.raises(PictureError, match="too large to decode"):
        make_room(image, MEMORY - 32_100_000, turned=True)


def test_a_jpeg_that_would_become_too_small_is_refused() -> None:
    content = encoded(flat("L", 6100).convert("RGB"), "JPEG", progressive=True, subsampling=0)
    with pytest.raises(PictureError, match="too large to decode safely: 6100x6100"):
        read_header(io.BytesIO(content))


@pytest.mark.parametrize(("scans", "fine"), [(30, True), (41, False)])
def test_scans_are_counted(scans: int, fine: bool) -> None:
    content = scan_flood(64, scans)
    image = Image.open(io.BytesIO(content))
    if fine:
        require_few_scans(image, content)
        return
    with pytest.raises(PictureError, match="more than 40 progressive scans"):
        require_few_scans(image, content)


def test_previews_and_trailers_are_no_scans() -> None:
    preview = scan_flood(16, 38)
    content = encoded(photo(), "JPEG", progressive=True, comment=preview) + b"\xff\xda" * 100
    require_few_scans(Image.open(io.BytesIO(content)), content)


def test_a_jpeg_that_is_not_progressive_is_not_walked() -> None:
    content = encoded(photo(), "JPEG")
    require_few_scans(Image.open(io.BytesIO(content)), content + b"\xff\xda\0\2" * 100)


def test_what_is_too_large_has_a_cure() -> None:
    assert too_large("so much").cure
