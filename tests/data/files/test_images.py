from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from simpletuner.data.entries import PictureError
from simpletuner.data.files.headers import quiet_pillow
from simpletuner.data.files.images import open_rgb, resize_and_crop
from simpletuner.data.places.crops import Crop, plan_crop
from simpletuner.data.places.geometry import GeometrySpec, Placement, Size, place

RED = (200, 30, 40)


def pixel(content: bytes) -> tuple[int, ...]:
    image = open_rgb(content)
    assert image.mode == "RGB"
    return tuple(np.asarray(image)[image.height // 2, image.width // 2].tolist())


def flat(mode: str, colour: Any) -> Image.Image:
    return Image.new(mode, (16, 16), colour)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_every_exif_orientation_gives_the_same_pixels(pictures: Any, orientation: int, format_name: str) -> None:
    upright = pictures.gradient(24, 16)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_rgb(pictures.encoded(stored, format_name, exif=exif))
    assert np.array_equal(np.asarray(opened), np.asarray(upright))


@pytest.mark.parametrize(
    ("mode", "colour", "format_name", "expected"),
    [
        ("RGB", RED, "PNG", RED),
        ("L", 90, "PNG", (90, 90, 90)),
        ("1", 1, "PNG", (255, 255, 255)),
        ("RGBA", (*RED, 255), "PNG", RED),
        ("RGBA", (*RED, 0), "PNG", (255, 255, 255)),
        ("RGBA", (0, 0, 0, 51), "PNG", (204, 204, 204)),
        ("RGBA", (*RED, 0), "WEBP", (255, 255, 255)),
        ("LA", (10, 0), "PNG", (255, 255, 255)),
        ("LA", (10, 255), "PNG", (10, 10, 10)),
        ("I;16", 30_000, "PNG", (117, 117, 117)),
        ("I;16", 65_535, "TIFF", (255, 255, 255)),
        ("I", 65_535, "TIFF", (255, 255, 255)),
        ("F", 0.5, "TIFF", (128, 128, 128)),
        ("CMYK", (0, 255, 255, 0), "TIFF", (255, 0, 0)),
    ],
)
def test_every_mode_has_its_colour(pictures: Any, mode: str, colour: Any, format_name: str, expected: Any) -> None:
    options = {"lossless": True} if format_name == "WEBP" else {}
    assert pixel(pictures.encoded(flat(mode, colour), format_name, **options)) == expected


@pytest.mark.parametrize(("mode", "colour"), [("CMYK", (0, 255, 255, 0)), ("YCbCr", (76, 85, 255))])
def test_jpeg_colour_spaces(pictures: Any, mode: str, colour: tuple[int, ...]) -> None:
    assert np.allclose(pixel(pictures.encoded(flat(mode, colour), "JPEG", quality=95)), (254, 0, 0), atol=3)


@pytest.mark.parametrize("format_name", ["PNG", "GIF"])
def test_a_transparent_palette_entry_lies_on_white(pictures: Any, format_name: str) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, *RED])
    assert pixel(pictures.encoded(image, format_name, transparency=1)) == (255, 255, 255)
    assert pixel(pictures.encoded(image, format_name, transparency=0)) == RED


def test_a_transparent_colour_lies_on_white(pictures: Any) -> None:
    assert pixel(pictures.encoded(flat("RGB", RED), "PNG", transparency=RED)) == (255, 255, 255)


def reference(name: str) -> tuple[bytes, np.ndarray[Any, Any]]:
    """A picture of one mode as a file, and what it must look like, reckoned without Pillow."""
    rows, columns = np.mgrid[0:64, 0:600]
    red, green, blue = columns * 255 // 599, rows * 255 // 63, (rows + columns) % 256
    colour = np.stack([red, green, blue], axis=-1).astype(np.float64)
    gray, alpha = red.astype(np.float64), green.astype(np.float64)
    indices = (columns % 3).astype(np.uint8)
    table = np.array([[255, 0, 0], [0, 80, 0], [9, 9, 200]], np.float64)
    palette = Image.fromarray(indices, "P")
    palette.putpalette(table.astype(np.uint8).tobytes())

    def grays(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return values[..., None].repeat(3, axis=-1)

    def on_white(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return values * alpha[..., None] / 255 + 255 - alpha[..., None]

    def file(values: Any, format_name: str = "PNG", **options: Any) -> bytes:
        image = values if isinstance(values, Image.Image) else Image.fromarray(values)
        stream = io.BytesIO()
        image.save(stream, format_name, **options)
        return stream.getvalue()

    def eight(*parts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.concatenate([part if part.ndim == 3 else part[..., None] for part in parts], -1).astype(np.uint8)

    ink = eight(colour, (columns * 200 // 599))
    cases = {
        "L": lambda: (file(gray.astype(np.uint8)), grays(gray)),
        "1": lambda: (file(Image.fromarray(indices > 1)), grays((indices > 1) * 255.0)),
        "P": lambda: (file(palette), table[indices]),
        "P + transparency": lambda: (
            file(palette, transparency=1),
            np.where(indices[..., None] == 1, 255.0, table[indices]),
        ),
        "RGB": lambda: (file(eight(colour)), colour),
        "RGB + transparency": lambda: (
            file(eight(colour), transparency=(0, 0, 0)),
            np.where(colour.any(axis=-1, keepdims=True), colour, 255.0),
        ),
        "RGBA": lambda: (file(eight(colour, alpha)), on_white(colour)),
        "LA": lambda: (file(eight(gray, alpha)), on_white(grays(gray))),
        "I;16": lambda: (file((columns * 65_535 // 599).astype(np.uint16)), grays(columns * 255 / 599)),
        "I": lambda: (file((columns * 65_535 // 599).astype(np.int32), "TIFF"), grays(columns * 255 / 599)),
        "F": lambda: (file((columns / 599).astype(np.float32), "TIFF"), grays(columns * 255 / 599)),
        "CMYK": lambda: (
            file(Image.fromarray(ink, "CMYK"), "TIFF"),
            (255 - colour) * (255.0 - ink[..., 3:]) / 255,
        ),
    }
    return cases[name]()


MODES = ["L", "1", "P", "P + transparency", "RGB", "RGB + transparency", "RGBA", "LA", "I;16", "I", "F", "CMYK"]


@pytest.mark.parametrize("mode", MODES)
def test_twelve_modes_are_within_one_of_what_was_drawn(mode: str) -> None:
    content, expected = reference(mode)
    assert np.abs(np.asarray(open_rgb(content), np.float64) - expected).max() <= 1.0


def test_strips_of_a_wide_or_tall_picture_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    content, expected = reference("RGBA")
    for pixels in (1, 599, 600, 7000):
        monkeypatch.setattr("simpletuner.data.files.images._STRIP_PIXELS", pixels)
        assert np.abs(np.asarray(open_rgb(content), np.float64) - expected).max() <= 1.0


def test_what_is_no_number_is_black_and_spoils_no_other_pixel(pictures: Any) -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 0.0, 0.5, 1.0]], np.float32)
    opened = np.asarray(open_rgb(pictures.encoded(Image.fromarray(values), "TIFF")))
    assert opened[0, :, 0].tolist() == [0, 0, 0, 0, 128, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("format_name", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})])
def test_photos_held_in_any_way_are_upright(
    pictures: Any, orientation: int, format_name: str, options: dict[str, Any]
) -> None:
    # A viewer would turn it; so does Pillow's own function.
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = pictures.encoded(pictures.gradient(48, 32), format_name, exif=exif, **options)
    with Image.open(io.BytesIO(content)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert np.array_equal(np.asarray(open_rgb(content)), np.asarray(expected))


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\x7f", 99, 0])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_turns_nothing(pictures: Any, exif: bytes | int, format_name: str) -> None:
    written: Any = exif
    if isinstance(exif, int):
        written = Image.Exif()
        written[0x0112] = exif
    with quiet_pillow():
        content = pictures.encoded(pictures.gradient(48, 32), format_name, exif=written)
        assert open_rgb(content).size == (48, 32)


def test_sixteen_bit_gray_keeps_its_ramp(pictures: Any) -> None:
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    opened = np.asarray(open_rgb(pictures.encoded(Image.fromarray(ramp))))
    assert np.array_equal(opened[0, :, 0], np.arange(256))


def test_the_first_frame_of_an_animation_is_used(pictures: Any) -> None:
    frames = [flat("RGB", colour) for colour in (RED, (0, 255, 0), (0, 0, 255))]
    content = pictures.encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert pixel(content) == RED


def test_a_colour_profile_is_applied_and_srgb_left_alone(pictures: Any) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert pixel(pictures.encoded(flat("RGB", RED), "PNG", icc_profile=srgb)) == RED
    # The same profile under another name, with red and green exchanged.
    other = srgb.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    other = other.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    swapped = pixel(pictures.encoded(flat("RGB", RED), "PNG", icc_profile=other))
    assert np.allclose(swapped, (RED[1], RED[0], RED[2]), atol=2)


def test_a_broken_or_unfit_profile_is_ignored(pictures: Any) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for profile in (b"nonsense", lab):
        assert pixel(pictures.encoded(flat("RGB", RED), "PNG", icc_profile=profile)) == RED


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_a_truncated_file_is_refused_at_every_length(pictures: Any, format_name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    content = pictures.encoded(Image.fromarray(noise), format_name)
    for cut in range(50):
        with pytest.raises(PictureError) as caught:
            open_rgb(content[: (len(content) - 100) * cut // 50])
        assert caught.value.reason
        assert caught.value.cure


def test_damaged_bytes_never_escape_as_another_error(pictures: Any) -> None:
    generator = np.random.default_rng(1)
    for format_name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF"):
        content = pictures.encoded(pictures.gradient(40, 30), format_name)
        for _ in range(60):
            damaged = bytearray(content)
            for place_of_damage in generator.integers(0, len(content), 4):
                damaged[place_of_damage] = int(generator.integers(0, 256))
            try:
                with quiet_pillow():
                    assert open_rgb(bytes(damaged)).mode == "RGB"
            except PictureError as error:
                assert error.cure


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (97, 61), (1000, 30)])
def test_the_window_is_that_of_scaling_then_cropping(pictures: Any, size: tuple[int, int]) -> None:
    image = pictures.gradient(*size)
    placement = place(*size, GeometrySpec(128, crop=True, alignment=16))
    crop = plan_crop(placement, "center")
    whole = image.resize((placement.intermediary.width, placement.intermediary.height), Image.Resampling.LANCZOS)
    box = (crop.left, crop.top, crop.left + placement.target.width, crop.top + placement.target.height)
    difference = np.abs(np.asarray(whole.crop(box), int) - np.asarray(resize_and_crop(image, placement, crop), int))
    assert difference.max() <= 1


def test_no_scaling_keeps_every_pixel(pictures: Any) -> None:
    image = pictures.gradient(64, 48)
    window = resize_and_crop(image, Placement("1.0", Size(32, 32), Size(64, 48)), Crop(20, 5))
    assert np.array_equal(np.asarray(window), np.asarray(image)[5:37, 20:52])


def test_golden_pixels_of_the_codec_version() -> None:
    """A change here changes what cached latents were made from: raise CODEC_VERSION with it."""
    values = np.arange(7 * 5 * 3, dtype=np.uint8).reshape(5, 7, 3) * 2
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    window = resize_and_crop(open_rgb(stream.getvalue()), Placement("1.0", Size(2, 2), Size(3, 2)), Crop(1, 0))
    assert np.asarray(window).tolist() == [[[52, 54, 56], [66, 68, 70]], [[152, 154, 156], [166, 168, 170]]]
