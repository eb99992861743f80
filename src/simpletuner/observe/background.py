"""Processes that work beside a training take the processor time that it leaves."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

LATER = 10
"""Their niceness: a tenth of the time where the training takes all. A library that gets none gives up connecting."""
_TRIES = 10
_PAUSE = 0.11


def give_way(process: int) -> None:
    """Let ``process``, the first of a session of its own, and what it will start give way to the training.

    Called as soon as it has started, because importing a tracker's library takes seconds of processor time; on a thread
    that may wait a second.
    """
    _be_nice(process, LATER)


def come_forward(process: int) -> None:
    """Take it back where that is allowed: the training is over and waits for ``process``."""
    _be_nice(process, 0)


def _be_nice(process: int, niceness: int) -> None:
    """A courtesy: the process may be gone, not every system has groups, and not every user may take it back."""
    # Linux first shares the processor evenly among sessions, then within each (sched(7), "The autogroup feature"):
    # by their own niceness alone three trackers would get three times as much as the run.
    with suppress(OSError):
        _let_session_be_nice(Path(f"/proc/{process}/autogroup"), niceness)
    with suppress(OSError):
        os.setpriority(os.PRIO_PGRP, process, niceness)


def _let_session_be_nice(group: Path, niceness: int) -> None:
    """Several trackers start at once, and the system takes such a change ten times a second at most."""
    for _ in range(_TRIES):
        try:
            group.write_text(str(niceness), encoding="ascii")
        except BlockingIOError:
            time.sleep(_PAUSE)
        else:
            return
