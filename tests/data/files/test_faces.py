from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, ImageDraw, ImageFilter

from simpletuner.core.errors import ConfigError
from simpletuner.data.files import faces
from simpletuner.data.files.faces import find_focus

# Left, top, right and bottom around the centre of a face, then its gray: what the detector looks for and no more.
FACE = """
-70 -100 70 80 40
-58 -73 58 83 190
-40 -27 -8 -17 90 | 8 -27 40 -17 90
-39 -16 -9 0 70 | 9 -16 39 0 70
-6 -14 6 34 215 | -12 26 12 34 120
-24 42 24 54 110
"""
PARTS = [[int(number) for number in part.split()] for part in FACE.replace("|", "\n").split("\n") if part]


def picture(size: tuple[int, int], *drawn: tuple[int, int, float]) -> Image.Image:
    """Gray, with a face at each (x, y) of a scale."""
    image = Image.new("L", size, 60)
    draw = ImageDraw.Draw(image)
    for x, y, scale in drawn:
        for left, top, right, bottom, gray in PARTS:
            draw.ellipse((x + left * scale, y + top * scale, x + right * scale, y + bottom * scale), fill=gray)
    return image.filter(ImageFilter.GaussianBlur(2))


@pytest.mark.parametrize(("x", "y"), [(160, 160), (120, 200), (390, 180)])
def test_the_centre_of_a_face_is_found(x: int, y: int) -> None:
    found = find_focus(picture((500, 340), (x, y, 1.0)))
    assert found == pytest.approx((x / 500, y / 340), abs=0.04)


def test_a_picture_in_colour_and_one_of_many_pixels_give_the_same() -> None:
    image = picture((500, 340), (390, 180, 1.0)).convert("RGB")
    assert find_focus(image) == pytest.approx((0.78, 0.53), abs=0.04)
    large = image.resize((3000, 2040), Image.Resampling.BICUBIC)
    assert find_focus(large) == pytest.approx((0.78, 0.53), abs=0.04)
    assert large.size == (3000, 2040), "the caller's picture is left as it is"


@pytest.mark.parametrize(("small", "large"), [((100, 120), (330, 200)), ((400, 120), (130, 200))])
def test_the_largest_face_counts(small: tuple[int, int], large: tuple[int, int]) -> None:
    found = find_focus(picture((500, 340), (*small, 0.5), (*large, 1.2)))
    assert found == pytest.approx((large[0] / 500, large[1] / 340), abs=0.04)


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (400, 300), "gray"),
        Image.linear_gradient("L"),
        Image.effect_noise((400, 300), 80),
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (1, 9000)),
        Image.new("RGB", (9000, 2)),
    ],
    ids=["plain", "gradient", "noise", "pixel", "upright sliver", "sliver"],
)
def test_a_picture_without_a_face_has_no_focus(image: Image.Image) -> None:
    assert find_focus(image) is None


@pytest.mark.parametrize("named", [{}, {"CascadeClassifier": object}])
def test_an_opencv_without_the_detector_is_refused_with_the_version_that_has_it(
    tmp_path: Path, named: dict[str, type]
) -> None:
    without = SimpleNamespace(__file__=str(tmp_path / "__init__.py"), __version__="5.0.0", **named)
    with pytest.raises(ConfigError, match=r"OpenCV 5\.0\.0 has no frontal face detector") as caught:
        faces._detector(without)
    assert caught.value.key == "crop_style face"
    assert caught.value.cure is not None
    assert "<5" in caught.value.cure
