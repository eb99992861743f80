"""The 24 flat drawings that ship as the `emoji-style` example: `python -m scripts.tiny.example_pictures`."""

from __future__ import annotations

import io
import logging

from PIL import Image

from .files import EXAMPLE_PICTURES, FLAT, start_logging, write_bytes, write_text
from .npm import FLUENT_FLAT

EXAMPLE_NAMES = (
    "grinning_face",
    "smiling_face_with_sunglasses",
    "robot",
    "cat_face",
    "dog_face",
    "frog",
    "butterfly",
    "octopus",
    "penguin",
    "red_apple",
    "strawberry",
    "pizza",
    "birthday_cake",
    "hot_beverage",
    "sunflower",
    "cactus",
    "rainbow",
    "house",
    "automobile",
    "rocket",
    "sailboat",
    "guitar",
    "light_bulb",
    "umbrella",
)

_ABOUT = f"""\
These 24 pictures are drawings of Microsoft's Fluent Emoji (flat style), from
https://github.com/microsoft/fluentui-emoji by way of the npm package
{FLUENT_FLAT.spec}. Changes: each SVG was rasterised at 128 x 128 pixels on a
white background, reduced to a palette and renamed to its Unicode name.

"""
LICENCE = """\
MIT License

Copyright (c) Microsoft Corporation.

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE
"""


def small_png(picture: Image.Image) -> bytes:
    """Encode with a palette: flat drawings have few colours, and white stays exactly white."""
    data = io.BytesIO()
    picture.quantize(colors=128, dither=Image.Dither.NONE).save(data, format="PNG", optimize=True)
    return data.getvalue()


def main() -> None:
    """Copy the chosen drawings out of the build folder, beside their licence."""
    start_logging()
    for name in EXAMPLE_NAMES:
        with Image.open(FLAT / f"{name}.png") as picture:
            write_bytes(EXAMPLE_PICTURES / f"{name}.png", small_png(picture))
    write_text(EXAMPLE_PICTURES / "LICENSE-fluent-emoji.txt", _ABOUT + LICENCE)
    logging.info("%d pictures in %s", len(EXAMPLE_NAMES), EXAMPLE_PICTURES)


if __name__ == "__main__":
    main()
