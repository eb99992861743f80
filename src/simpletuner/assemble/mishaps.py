"""What a machine can run out of, told as errors that a user can act on."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from simpletuner.assemble.scanning import unusable_index
from simpletuner.core.errors import DataError, OutOfMemory

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_DENIED = (errno.EACCES, errno.EPERM)
_MISPLACED = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
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


@contextmanager
def mishaps_named(output_dir: Path) -> Iterator[None]:
    """Turn exhausted memory into OutOfMemory, and a disk or an index that cannot be used into DataError."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        cure = "gradient_checkpointing=true, a smaller train_batch_size or resolution, vae_enable_tiling for the cache"
        raise OutOfMemory(f"out of memory: {_first_line(error)}", cure=cure) from error
    except sqlite3.Error as error:
        raise unusable_index(error) from error
    except OSError as error:
        if error.errno not in _SAID:
            raise
        reason, cure = _SAID[error.errno]
        raise DataError(f"{reason}: {error.strerror}", file=error.filename or output_dir, cure=cure) from error


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
