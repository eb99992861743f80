"""The sizes of validation pictures, from their text."""

from __future__ import annotations

import re

from simpletuner.core.errors import ConfigError

MULTIPLE = 16
LONGEST = 192 * MULTIPLE
"""The longest edge that OmniGen has positions for, in pixels."""
_MEGAPIXELS_BELOW = 16
_ONE_MEGAPIXEL = 1024
_SIZE = re.compile(r"(\d+)\s*[x×]\s*(\d+)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(\.\d+)?")


def parse_resolutions(text: str) -> tuple[tuple[int, int], ...]:
    """``(width, height)`` in pixels of ``"1024x1024, 1280x768, 512"``, rounded to multiples of 16.

    A bare number is an edge in pixels, below 16 megapixels: 1 is 1024x1024, n an edge of n x 1000. A size that comes
    twice is one. Raises ConfigError for anything else.
    """
    return tuple(dict.fromkeys(_parse_one(part.strip()) for part in text.split(",")))


def rounded_sizes(text: str) -> tuple[tuple[str, tuple[int, int]], ...]:
    """The sizes in pixels that :func:`parse_resolutions` had to round, as written, each with its width and height.

    Megapixels are left out: they are about.
    """
    found = {part.strip(): _exact_edges(part.strip()) for part in text.split(",")}
    return tuple((part, _parse_one(part)) for part, edges in found.items() if any(edge % MULTIPLE for edge in edges))


def _exact_edges(part: str) -> tuple[float, ...]:
    """The edges in pixels of one size as it is written; none of one in megapixels."""
    if size := _SIZE.fullmatch(part):
        return float(size[1]), float(size[2])
    return (float(part),) if float(part) >= _MEGAPIXELS_BELOW else ()


def _parse_one(part: str) -> tuple[int, int]:
    size = _SIZE.fullmatch(part)
    if size:
        width, height = int(size[1]), int(size[2])
    elif _NUMBER.fullmatch(part):
        width = height = _edge(float(part))
    else:
        width = height = 0
    if width <= 0 or height <= 0:
        cure = "for example 1024x1024, or several: 1024x1024,1280x768"
        raise ConfigError(f"'{part}' is no size", key="validation_resolution", cure=cure)
    width, height = _rounded(width), _rounded(height)
    if max(width, height) > LONGEST:
        reason = f"'{part}' is {width}x{height}, and no edge can be longer than {LONGEST}"
        raise ConfigError(reason, key="validation_resolution", cure="name a smaller size, for example 1024x1024")
    return width, height


def _edge(number: float) -> int:
    if number >= _MEGAPIXELS_BELOW:
        return int(number)
    if number == 1:
        return _ONE_MEGAPIXEL
    return int(number * 1000) // 8 * 8


def _rounded(edge: int) -> int:
    return max(MULTIPLE, round(edge / MULTIPLE) * MULTIPLE)
