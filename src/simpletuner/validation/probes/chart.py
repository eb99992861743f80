"""Lines over numbers as a picture, with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from simpletuner.validation.lettering import font, line_height

_SIZE = (960, 560)
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 90, 60
_PAPER, _INK, _RULE = (255, 255, 255), (40, 40, 46), (222, 222, 222)
_LETTERS = 15
_TICKS = 5
# As they follow each other; told apart without colour by the legend's order and their brightness.
_LINES = ((31, 90, 180), (214, 110, 20), (60, 140, 70))


@dataclass(frozen=True)
class Line:
    """A line with its name: y over x."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class _Frame:
    """From numbers to pixels: ``most`` are the largest x and y; both begin at 0."""

    most: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        width, height = _SIZE[0] - _LEFT - _RIGHT, _SIZE[1] - _TOP - _BOTTOM
        return _LEFT + x / self.most[0] * width, _SIZE[1] - _BOTTOM - y / self.most[1] * height


def chart(title: str, across: str, lines: Sequence[Line], marks: Sequence[tuple[float, str]] = ()) -> Image.Image:
    """``lines`` from 0 on, named below the ``title``; ``across`` names x; ``marks`` are x with a word each."""
    most_x = max(value for line in lines for value in line.x) or 1.0
    most_y = max(value for line in lines for value in line.y) or 1.0
    frame = _Frame((most_x, _rounded(most_y)))
    canvas = Image.new("RGB", _SIZE, _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_LEFT, 14), title, fill=_INK, font=font(_LETTERS + 3))
    _grid(draw, frame, across)
    for x, word in marks:
        draw.line((frame.at(x, 0), frame.at(x, frame.most[1])), fill=_INK)
        draw.text((frame.at(x, frame.most[1])[0] + 4, _TOP), word, fill=_INK, font=font(_LETTERS))
    left = float(_LEFT)
    for line, colour in zip(lines, _LINES, strict=False):
        draw.line([frame.at(x, y) for x, y in zip(line.x, line.y, strict=True)], fill=colour, width=3, joint="curve")
        draw.rectangle((left, 54, left + 22, 58), fill=colour)
        draw.text((left + 30, 46), line.name, fill=_INK, font=font(_LETTERS))
        left += 60 + font(_LETTERS).getlength(line.name)
    return canvas


def _grid(draw: ImageDraw.ImageDraw, frame: _Frame, across: str) -> None:
    for y in _ticks(frame.most[1]):
        draw.line((frame.at(0, y), frame.at(frame.most[0], y)), fill=_RULE)
        draw.text((_LEFT - 8, frame.at(0, y)[1]), f"{y:g}", fill=_INK, font=font(_LETTERS), anchor="rm")
    for x in _ticks(frame.most[0]):
        draw.text((frame.at(x, 0)[0], _SIZE[1] - _BOTTOM + 8), f"{x:g}", fill=_INK, font=font(_LETTERS), anchor="ma")
    middle = (_LEFT + _SIZE[0] - _RIGHT) / 2
    draw.text((middle, _SIZE[1] - 8 - line_height(_LETTERS)), across, fill=_INK, font=font(_LETTERS), anchor="ma")


def _ticks(most: float) -> list[float]:
    """Short numbers from 0 to ``most``."""
    step = _rounded(most / _TICKS)
    return [round(step * number, 6) for number in range(int(most / step + 1e-9) + 1)]


def _rounded(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value)
