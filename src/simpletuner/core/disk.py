"""What a disk answers, told as errors that a user can act on, and how much room it has."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from simpletuner.core.errors import DataError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_DENIED = (errno.EACCES, errno.EPERM)
_MISPLACED = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# What the disk answers: what is said of it, and the cure.
_SAID = {
    **dict.fromkeys(
        _FULL,
        (
            "the disk takes no more",
            "make room; the same command goes on: cached files and the last checkpoint are whole",
        ),
    ),
    **dict.fromkeys(_DENIED, ("it may not be used", "give yourself the right to read and write it")),
    **dict.fromkeys(_MISPLACED, ("a file lies where a folder should, or the other way round", "move it away")),
    errno.ENAMETOOLONG: ("its name is too long for the disk", "choose shorter folders and a shorter data set id"),
}


def disk_error(error: OSError, file: Path | str) -> DataError | None:
    """``error`` as a user is told of it, naming its file or ``file``; None for what a disk does not answer."""
    if error.errno not in _SAID:
        return None
    reason, cure = _SAID[error.errno]
    return DataError(f"{reason}: {error.strerror}", file=error.filename or file, cure=cure)


def as_bytes(size: str) -> int:
    """Bytes of ``100G``, ``50M``, ``1T``, ``500K`` (powers of 1024) or a plain number. Raises ValueError."""
    text = size.strip().upper().removesuffix("B")
    unit = _UNITS.get(text[-1:], 1)
    digits = text[:-1] if text[-1:] in _UNITS else text
    if not digits.strip().isascii() or not digits.strip().isdigit():
        raise ValueError(f"'{size}' is no size; write 100G, 50M, 1T, 500K or a number of bytes")
    return int(digits) * unit


def shown_bytes(size: int) -> str:
    """A size for a person: ``1.5 GB`` in powers of 1024, as ``as_bytes`` reads it."""
    for unit, worth in reversed(_UNITS.items()):
        if size >= worth:
            return f"{size / worth:.1f} {unit}B"
    return f"{size} bytes"


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write to the disk of ``folder``. Raises OSError when it is not there."""
    return shutil.disk_usage(folder).free
