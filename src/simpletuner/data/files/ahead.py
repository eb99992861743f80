"""Work done in threads ahead of whoever takes the results, and behind their back; what is under way is bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(pool: Executor, work: Callable[[T], R], items: Iterable[T], window: int) -> Iterator[R]:
    """``work`` of each item, in order, done in ``pool`` while the caller is busy with earlier results.

    At most ``window`` results wait, are being made, or are the one handed out last.
    """
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) == window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class Behind:
    """Work done in ``pool`` behind the caller's back; at most ``window`` pieces of it wait."""

    def __init__(self, pool: Executor, window: int) -> None:
        self._pool = pool
        self._window = window
        self._waiting: deque[Future[None]] = deque()

    def add(self, work: Callable[[], None]) -> None:
        """Hand in one piece. Raises what an earlier one raised."""
        self._waiting.append(self._pool.submit(work))
        self.finish(self._window)

    def finish(self, left: int = 0) -> None:
        """Wait until at most ``left`` pieces wait. Raises what one of them raised."""
        while len(self._waiting) > left:
            self._waiting.popleft().result()
