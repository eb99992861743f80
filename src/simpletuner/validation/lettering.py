"""Text on pictures: Pillow's own font, wrapping by measured width."""

from __future__ import annotations

import functools
import re
import unicodedata

from PIL import ImageFont

_SPACE = re.compile(r"\s+")
_PLAIN = str.maketrans({"—": "-", "–": "-", "\u2011": "-", "ß": "ss"})
_UNDRAWN = "[…]"
_UNDRAWN_RUN = re.compile(r"\[…\](\s*\[…\])*")


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in font at ``size`` pixels. It draws Latin letters only."""
    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return loaded


def line_height(size: int) -> int:
    """Pixels from one line to the next."""
    return round(size * 1.35)


def drawable(text: str) -> str:
    """``text`` on one line: accents that the font lacks dropped, runs of other letters it lacks as ``[…]``.

    The picture's metadata hold the prompt as it is; rows of empty boxes would say less than this.
    """
    drawn = "".join(_drawn(letter) for letter in _SPACE.sub(" ", text).translate(_PLAIN))
    return _UNDRAWN_RUN.sub(_UNDRAWN, drawn).strip()


def wrap(text: str, size: int, width: int, most_lines: int) -> list[str]:
    """``drawable(text)`` in lines of at most ``width`` pixels; ``…`` ends the last line when some was left out."""
    lines: list[str] = []
    for word in drawable(text).split():
        _place(word, lines, size, width)
    if len(lines) <= most_lines:
        return lines
    last = lines[most_lines - 1]
    while last and font(size).getlength(f"{last}…") > width:
        last = last[:-1]
    return [*lines[: most_lines - 1], f"{last.rstrip()}…"]


def _place(word: str, lines: list[str], size: int, width: int) -> None:
    """Put ``word`` behind the last line, else on a line of its own, cut where it is wider than one."""
    if lines and font(size).getlength(f"{lines[-1]} {word}") <= width:
        lines[-1] += f" {word}"
        return
    while word:
        count = len(word)
        while count > 1 and font(size).getlength(word[:count]) > width:
            count -= 1
        lines.append(word[:count])
        word = word[count:]


@functools.cache
def _drawn(letter: str) -> str:
    """The letter, its plain form (``é`` as ``e``), or the mark for what cannot be drawn."""
    if _has(letter):
        return letter
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return plain if plain and all(_has(part) for part in plain) else _UNDRAWN


def _has(letter: str) -> bool:
    """Whether the font draws ``letter`` as itself: what it lacks looks like a code point that never has a form."""
    if letter == " ":
        return True
    sample = font(24)
    return bytes(sample.getmask(letter)) not in (b"", bytes(sample.getmask("\uffff")))
