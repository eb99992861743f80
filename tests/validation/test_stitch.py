from __future__ import annotations

import pytest
from PIL import Image, ImageChops

from simpletuner.validation.stitch import SEPARATOR, Panel, contact_sheet, enlarged, stitch, stitch_benchmark


def picture(width: int, height: int, colour: str = "red") -> Image.Image:
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    return ImageChops.add(image, Image.new("RGB", (width, height), colour))


def holds(sheet: Image.Image, image: Image.Image, left: int, top: int) -> bool:
    return sheet.crop((left, top, left + image.width, top + image.height)).tobytes() == image.tobytes()


def tops(sheet: Image.Image, image: Image.Image, left: int) -> list[int]:
    return [top for top in range(sheet.height - image.height + 1) if holds(sheet, image, left, top)]


@pytest.mark.parametrize(
    ("width", "height", "factor"), [(64, 64, 4), (128, 128, 2), (100, 60, 3), (512, 384, 1), (1024, 1024, 1)]
)
def test_base_left_current_right_five_pixels_apart_every_pixel_whole(width: int, height: int, factor: int) -> None:
    base, current = picture(width, height, "red"), picture(width, height, "blue")
    sheet = stitch_benchmark(base, current, 200, "a cat")
    shown = [enlarged(base), enlarged(current)]
    assert shown[0].size == (width * factor, height * factor)
    assert sheet.width == 2 * width * factor + SEPARATOR == 2 * width * factor + 5
    assert tops(sheet, shown[0], 0) == tops(sheet, shown[1], width * factor + 5)
    top = tops(sheet, shown[0], 0)[0]
    assert top > 0, "the caption stands above"
    assert sheet.height > top + height * factor, "the prompt stands below"
    back = sheet.crop((0, top, width * factor, top + height * factor)).resize((width, height), Image.Resampling.NEAREST)
    assert back.tobytes() == base.tobytes()


def test_the_average_follows_at_the_right() -> None:
    images = [picture(64, 64, colour) for colour in ("red", "blue", "lime")]
    sheet = stitch_benchmark(images[0], images[1], 3, "a cat", images[2])
    assert sheet.width == 3 * 256 + 2 * 5
    assert tops(sheet, enlarged(images[2]), 2 * 261)


def test_captions_and_prompt_are_drawn() -> None:
    image = picture(64, 64)
    sheets = [
        stitch_benchmark(image, image, *told).tobytes() for told in ((1, "a"), (2, "a"), (1, "b"), (1, ""), (1, "猫"))
    ]
    assert len(set(sheets)) == 5


def test_a_longer_prompt_takes_more_lines_up_to_a_limit() -> None:
    image = picture(64, 64)
    heights = [stitch_benchmark(image, image, 1, "word " * count).height for count in (1, 60, 1000, 2000)]
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_panels_may_differ_in_size_and_mode() -> None:
    grey = Image.new("L", (300, 500), 90)
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    sheet = stitch([Panel("input", grey), Panel("step 3", clear)], "sizes differ")
    assert sheet.width == 300 + 5 + 256
    assert sheet.getpixel((10, 300)) == (90, 90, 90)
    assert sheet.getpixel((400, 100)) == sheet.getpixel((400, 450)), "transparent shows the paper"


def test_a_contact_sheet_keeps_rows_and_columns() -> None:
    red, blue, lime = (picture(64, 64, colour) for colour in ("red", "blue", "lime"))
    sheet = contact_sheet([("first", [red, blue]), ("second", [None, lime])], ["a", "b"], cell=64, label_width=80)
    assert sheet.width == 80 + 2 * (64 + 5) + 5
    first, second = tops(sheet, blue, 80 + 5 + 69), tops(sheet, lime, 80 + 5 + 69)
    assert second == [first[0] + 69]
    assert tops(sheet, red, 85) == first


def test_a_contact_sheet_without_labels_is_only_pictures() -> None:
    sheet = contact_sheet([("", [picture(100, 50), picture(10, 20)])], [], cell=40)
    assert sheet.width == 2 * 45 + 5
    assert sheet.height <= 45 + 10
