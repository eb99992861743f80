"""Sheets of pictures, each with its own words above it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from simpletuner.validation.stitch import contact_sheet

CELL = 128


def labelled(pictures: Sequence[tuple[str, Image.Image]], columns: int) -> Image.Image:
    """Rows of ``columns`` pictures, the words of each above it."""
    parts = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    rows = [contact_sheet([("", [image for _, image in row])], [text for text, _ in row], cell=CELL) for row in parts]
    return stacked(rows)


def stacked(sheets: Sequence[Image.Image]) -> Image.Image:
    """Sheets below each other."""
    whole = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)))
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height
    return whole
