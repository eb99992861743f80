"""The threads of a filling: how many read, encode and write, and what each is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from simpletuner.data.cache.latents import side_by_side
from simpletuner.data.entries import Entry


@dataclass(frozen=True)
class FillSettings:
    """How to fill: pictures encoded together (``batch_size``), decoded pictures that may be in memory, or two batches
    where that is more (``read_ahead``), threads that read and that write (``workers``), threads of the CPU that the
    codec computes on (``threads``; 1 for a card), and this process's share.
    """

    batch_size: int
    read_ahead: int = 25
    workers: int = 4
    threads: int = 1
    ranks: int = 1
    rank: int = 0


def encoders(missing: Sequence[Entry], how: FillSettings) -> int:
    """How many batches are encoded at the same time: as many as the largest pictures allow."""
    largest = max((entry.placement.target.width * entry.placement.target.height for entry in missing), default=1)
    batches = -(-len(missing) // how.batch_size)
    return max(min(side_by_side(largest, how.batch_size, how.threads), batches), 1)


def shares(how: FillSettings, encoding: int) -> tuple[int, int]:
    """How many pictures a thread reads at a go, and how many such shares are read ahead."""
    if encoding > 1:
        # They are small, and each change of threads takes time from all encoders.
        return how.batch_size, how.workers
    window = max(how.read_ahead - how.batch_size, how.batch_size)
    share = max(min(window // how.workers, how.batch_size), 1)
    return share, window // share


@contextmanager
def pools(readers: int, writers: int) -> Iterator[tuple[ThreadPoolExecutor, ThreadPoolExecutor]]:
    """Threads that read and threads that write. Interrupted, they read no more, and write what they were given."""
    reading, writing = ThreadPoolExecutor(readers, "cache reader"), ThreadPoolExecutor(writers, "cache writer")
    try:
        yield reading, writing
    finally:
        reading.shutdown(cancel_futures=True)
        writing.shutdown()
