"""Pictures side by side with captions: what the base model made, what training made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw

from simpletuner.validation.lettering import font, line_height, wrap

SEPARATOR = 5
_LEGIBLE_WIDTH = 256
_PROMPT_LINES = 6
# Grey enough that a white picture has an edge.
_PAPER = (228, 228, 225)
_INK = (30, 30, 34)
_FAINT = (120, 120, 126)
_RULE = (190, 190, 188)


@dataclass(frozen=True)
class Panel:
    """A picture and the words above it."""

    caption: str
    image: Image.Image


def stitch(panels: Sequence[Panel], prompt: str) -> Image.Image:
    """Panels from left to right, 5 pixels apart, a caption above each, the prompt wrapped below.

    A panel narrower than 256 pixels is enlarged by a whole factor without smoothing, so that captions can be read
    and every pixel that the model made can still be counted and recovered. Larger panels keep their size.
    """
    images = [enlarged(panel.image) for panel in panels]
    size = _letters(min(image.width for image in images))
    strip = _strip(size)
    width = sum(image.width for image in images) + SEPARATOR * (len(images) - 1)
    lines = wrap(prompt, size, width - size, _PROMPT_LINES) or ["(no prompt)"]
    picture_height = max(image.height for image in images)
    bottom = strip + picture_height + size // 2
    canvas = Image.new("RGB", (width, bottom + line_height(size) * len(lines) + size // 2), _PAPER)
    left = 0
    for panel, image in zip(panels, images, strict=True):
        canvas.paste(image, (left, strip))
        _centred(canvas, panel.caption, size, (left, 0, left + image.width, strip))
        left += image.width + SEPARATOR
    _paragraph(canvas, lines, size, (size // 2, bottom), _INK if prompt.strip() else _FAINT)
    return canvas


def panel_box(size: tuple[int, int], number: int) -> tuple[int, int, int, int]:
    """Where :func:`stitch` puts the panel ``number`` of several of one ``size`` (width, height): its crop box."""
    factor = max(1, math.ceil(_LEGIBLE_WIDTH / size[0]))
    width, height = size[0] * factor, size[1] * factor
    left, top = number * (width + SEPARATOR), _strip(_letters(width))
    return left, top, left + width, top + height


def _letters(narrowest: int) -> int:
    """How tall letters are over a panel of this width."""
    return max(14, round(narrowest / 28))


def _strip(size: int) -> int:
    """The height of the captions."""
    return line_height(size) + size // 2


def compose(
    panels: Sequence[Panel], inputs: Sequence[Image.Image], side: Literal["left", "right"], prompt: str
) -> Image.Image:
    """A drawn picture as it is; several of them side by side, and at their ``side`` the input pictures."""
    if len(panels) == 1:
        return panels[0].image
    names = ("input",) if len(inputs) == 1 else [f"input {number}" for number in range(1, len(inputs) + 1)]
    seen = [Panel(name, image) for name, image in zip(names, inputs, strict=True)]
    return stitch([*seen, *panels] if side == "left" else [*panels, *seen], prompt)


def stitch_benchmark(
    base: Image.Image, current: Image.Image, step: int, prompt: str, ema: Image.Image | None = None
) -> Image.Image:
    """Base model at the left, the model after ``step`` updates beside it, its EMA at the right when there is one."""
    panels = [Panel("base model", base), Panel(f"step {step}", current)]
    return stitch([*panels, Panel("EMA", ema)] if ema else panels, prompt)


def enlarged(image: Image.Image, width: int = _LEGIBLE_WIDTH) -> Image.Image:
    """RGB, and at least ``width`` pixels wide by repeating each pixel a whole number of times."""
    factor = max(1, math.ceil(width / image.width))
    flat = _flattened(image)
    return flat.resize((flat.width * factor, flat.height * factor), Image.Resampling.NEAREST) if factor > 1 else flat


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Image.Image | None]]],
    columns: Sequence[str],
    *,
    cell: int = 192,
    label_width: int = 160,
) -> Image.Image:
    """A grid of pictures for reports: ``columns`` name the columns, each row is a label and its pictures.

    Every picture fits a square of ``cell`` pixels; None leaves its place empty. No columns: no strip at the top.
    No row label at all: no column at the left.
    """
    size = max(13, round(cell / 13))
    strip = line_height(size) * max((len(_cell_lines(text, size, cell)) for text in columns), default=0) + size // 2
    margin = label_width if any(label for label, _ in rows) else 0
    across = max((len(images) for _, images in rows), default=0)
    wide = margin + across * (cell + SEPARATOR) + SEPARATOR
    canvas = Image.new("RGB", (wide, strip + len(rows) * (cell + SEPARATOR)), _PAPER)
    for index, text in enumerate(columns):
        left = margin + SEPARATOR + index * (cell + SEPARATOR)
        for number, line in enumerate(_cell_lines(text, size, cell)):
            top = size // 4 + number * line_height(size)
            _centred(canvas, line, size, (left, top, left + cell, top + line_height(size)))
    for index, (label, images) in enumerate(rows):
        _sheet_row(canvas, label, images, (margin, strip + index * (cell + SEPARATOR), cell, size))
    return canvas


def _sheet_row(
    canvas: Image.Image, label: str, images: Sequence[Image.Image | None], place: tuple[int, int, int, int]
) -> None:
    margin, top, cell, size = place
    lines = wrap(label, size, margin - size, cell // line_height(size)) if margin else []
    middle = top + (cell - line_height(size) * len(lines)) // 2
    _paragraph(canvas, lines, size, (size // 2, middle), _INK)
    for index, image in enumerate(images):
        left = margin + SEPARATOR + index * (cell + SEPARATOR)
        if image is None:
            ImageDraw.Draw(canvas).rectangle((left, top, left + cell - 1, top + cell - 1), outline=_RULE)
            continue
        fitted = _fitted(image, cell)
        canvas.paste(fitted, (left + (cell - fitted.width) // 2, top + (cell - fitted.height) // 2))


def _fitted(image: Image.Image, cell: int) -> Image.Image:
    """Filling the cell: by whole pixels where that works out, else smoothly."""
    flat = _flattened(image)
    longest = max(flat.size)
    size = (max(1, round(flat.width * cell / longest)), max(1, round(flat.height * cell / longest)))
    return flat.resize(size, Image.Resampling.LANCZOS if cell % longest else Image.Resampling.NEAREST)


def _flattened(image: Image.Image) -> Image.Image:
    """RGB; what is transparent shows the paper."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    paper = Image.new("RGBA", image.size, (*_PAPER, 255))
    return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")


def _cell_lines(text: str, size: int, cell: int) -> list[str]:
    return wrap(text, size, cell, 2)


def _centred(canvas: Image.Image, text: str, size: int, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    lines = wrap(text, size, right - left, 1)
    if lines:
        middle = ((left + right) / 2, (top + bottom) / 2)
        ImageDraw.Draw(canvas).text(middle, lines[0], fill=_INK, font=font(size), anchor="mm")


def _paragraph(
    canvas: Image.Image, lines: Sequence[str], size: int, corner: tuple[int, int], ink: tuple[int, int, int]
) -> None:
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        draw.text((corner[0], corner[1] + number * line_height(size)), line, fill=ink, font=font(size))
