"""File names of validation pictures, from nicknames that people make up."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections.abc import Sequence

# A name holds 255 bytes on common file systems; the rest is for step, index, size, extension and temporary names.
_MOST_BYTES = 120
_REFUSED = re.compile(r'[<>:"/\\|?*\s]')
_RUN = re.compile("_*\0[_\0]*")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_JOINER = "\u200d"
_NAMELESS = "prompt"


def safe_nickname(nickname: str, encoding: str | None = None) -> str:
    """``nickname`` as a part of a file name: one path component that every common system accepts.

    Letters of any script and emoji stay, unless ``encoding`` (the file system's, when None) cannot write them.
    What cannot stay becomes ``_``; a long name is cut and ends in a digest, so that two long ones stay apart.
    """
    encoding = encoding or sys.getfilesystemencoding()
    marked = "".join(_kept(letter, encoding) for letter in unicodedata.normalize("NFC", nickname))
    name = _RUN.sub("_", marked).strip("._- ") or _NAMELESS
    if _DEVICES.match(name):
        name = f"_{name}"
    return _shortened(name, encoding)


def safe_nicknames(nicknames: Sequence[str], reserved: Sequence[str] = ()) -> tuple[str, ...]:
    """Safe names, all different also where case is ignored; an earlier one keeps its name, a later one gets ``_2``.

    ``reserved`` names are taken from the start. Adding a nickname at the end changes none before it.
    """
    taken = {_folded(name) for name in reserved}
    names = []
    for nickname in nicknames:
        name = _free(safe_nickname(nickname), taken)
        taken.add(_folded(name))
        names.append(name)
    return tuple(names)


def picture_name(step: int, nickname: str, index: int, size: tuple[int, int], extension: str) -> str:
    """``step_<step>_<nickname>_<index>_<W>x<H>.<ext>``; ``index`` counts over sizes and repeats of one prompt.

    ``size`` is (width, height) in pixels and ``nickname`` a safe one.
    """
    width, height = size
    return f"step_{step}_{nickname}_{index}_{width}x{height}.{extension}"


def benchmark_name(nickname: str, size: tuple[int, int], extension: str = "png") -> str:
    """``<nickname>_<W>x<H>.<ext>`` of the base model's picture; ``size`` is (width, height) in pixels."""
    width, height = size
    return f"{nickname}_{width}x{height}.{extension}"


def _kept(letter: str, encoding: str) -> str:
    """The letter, or a NUL where it cannot stand in a file name."""
    if _REFUSED.match(letter) or not (letter.isprintable() or letter == _JOINER):
        return "\0"
    try:
        letter.encode(encoding)
    except UnicodeEncodeError:
        return "\0"
    return letter


def _shortened(name: str, encoding: str) -> str:
    content = name.encode(encoding)
    if len(content) <= _MOST_BYTES:
        return name
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[: _MOST_BYTES - 9].decode(encoding, 'ignore').rstrip('._- ')}_{digest}"


def _free(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while _folded(candidate) in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
