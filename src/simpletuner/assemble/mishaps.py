"""What a machine can run out of, told as errors that a user can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from simpletuner.core.errors import DataError, OutOfMemory

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@contextmanager
def mishaps_named(output_dir: Path) -> Iterator[None]:
    """Turn exhausted memory into OutOfMemory and a disk that takes no more into DataError."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        cure = "gradient_checkpointing=true, a smaller train_batch_size or resolution, vae_enable_tiling for the cache"
        raise OutOfMemory(f"out of memory: {_first_line(error)}", cure=cure) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = error.filename or output_dir
        cure = "make room; the same command goes on from the last checkpoint, which is whole"
        raise DataError(f"the disk takes no more: {error.strerror}", file=where, cure=cure) from error


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
