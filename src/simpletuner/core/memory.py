"""Whether memory ran out, and giving back what is left of the attempt."""

from __future__ import annotations

import gc

import torch

# What torch says of the host's memory and of a device's; what libraries of NVIDIA and Intel say that found no room, and
# Python when there is none for the stack of a thread.
_WORDS = (
    "can't allocate memory",
    "out of memory",
    "ALLOC_FAILED",
    "can't start new thread",
    "could not create a primitive",
    "could not create a memory",
)


def is_exhausted(error: BaseException) -> bool:
    """Whether ``error`` says that the host or a device has no memory left.

    torch raises OutOfMemoryError for a device, and a plain RuntimeError where its allocator for the host fails. oneDNN
    has a word for it that may mean something else: then the attempt with less fails with the same word.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)


def first_line(error: BaseException) -> str:
    """What went wrong in one line; torch adds pages of advice."""
    text = str(error).strip()
    return text.splitlines()[0].strip() if text else type(error).__name__


def give_back() -> None:
    """Free what only cycles hold, and what torch keeps of a device for later.

    Call it outside of the ``except``: an error that is being handled keeps every tensor of its frames.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
