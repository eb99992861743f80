"""Trying again: how long a fault of the network is borne before it is told."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_ATTEMPTS = 5
_PAUSE_SECONDS = 0.2


def persist(
    action: Callable[[], _T],
    transient: Callable[[BaseException], bool],
    faults: tuple[type[BaseException], ...],
    pause: float = _PAUSE_SECONDS,
) -> _T:
    """The result of ``action``, tried up to five times while it ends in one of ``faults`` that ``transient`` accepts.

    The pauses double from ``pause`` seconds and are drawn at random, so that many readers do not come back at once.
    The last fault is raised as it is.
    """
    for attempt in range(_ATTEMPTS - 1):
        try:
            return action()
        except faults as error:
            if not transient(error):
                raise
            time.sleep(random.uniform(0.5, 1.0) * pause * 2**attempt)
    return action()
