"""SIGINT, SIGTERM and SIGHUP: remembered, and obeyed at the next place where nothing is half-made."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from types import FrameType

from simpletuner.core.errors import Interrupted, SimpletunerError, Terminated
from simpletuner.core.events import Emit, Event, StageProgress
from simpletuner.core.foot import Foot
from simpletuner.core.progress import Progress
from simpletuner.training.parallel.base import Parallel

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A terminal was closed, or a connection to this machine was lost.
_LOST = signal.SIGHUP


class Phase(Enum):
    """What a run does when a signal comes: the answer to it, and what is said at the end."""

    PREPARING = ("ending", "stopped before training; what is cached is kept, and the same command goes on from there")
    TRAINING = ("finishing this step, then saving", "stopped; the same command goes on from there")
    FINISHING = ("finishing what is being written", "stopped after training; the finished files are whole")

    PUBLISHING = ("ending the upload", "stopped while uploading; the finished files are whole")

    @property
    def answer(self) -> str:
        """Said at once."""
        return self.value[0]

    @property
    def ended(self) -> str:
        """Said at the end."""
        return self.value[1]


class _EndedNow(BaseException):
    """Leaves a block that may end anywhere. Not an Exception: libraries that go on after any of those must not."""


class Stopping:
    """Remembers the first signal. A second one ends the process at once; a lost terminal counts as SIGTERM, once.

    ``phase`` is what the run is doing. ``together`` says that other processes would wait for this one, so that it may
    only end where all of them do.
    """

    def __init__(self, foot: Foot | None = None) -> None:
        """The answer to a signal goes to ``foot`` while a terminal shows it."""
        self._foot = foot or Foot()
        self.phase = Phase.PREPARING
        self.together = False
        self._heard: int | None = None
        self._anywhere = False

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self._heard is not None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over the signals inside the block; not that of a lost terminal where it is ignored (`nohup`)."""
        lost = () if signal.getsignal(_LOST) is signal.SIG_IGN else (_LOST,)
        former = {number: signal.signal(number, self._hear) for number in (*_SIGNALS, *lost)}
        try:
            yield
        except _EndedNow:
            raise self.ending() from None
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    @contextmanager
    def anywhere(self) -> Iterator[None]:
        """Inside the block a signal is obeyed at once: while a library loads, nothing of ours is half-made."""
        self.check()
        self._anywhere = True
        try:
            yield
        finally:
            self._anywhere = False
        self.check()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside the block this process may end by itself: the others do nothing but wait, and hear of it."""
        former, self.together = self.together, False
        try:
            yield
        finally:
            self.together = former

    def check(self) -> None:
        """A place where the run may end. Raises Interrupted or Terminated when a signal came."""
        if self.asked and not self.together:
            raise self.ending()

    def ear(self, emit: Emit) -> Emit:
        """``emit``, and a place where the run may end wherever a countable stage has moved on."""

        def told(event: Event) -> None:
            emit(event)
            if isinstance(event, StageProgress):
                self.check()

        return told

    def ending(self, told: str = "") -> SimpletunerError:
        """What a signal ends the run with; ``told`` instead of what the phase says. Of another process's: SIGTERM."""
        kind = Interrupted if self._heard == signal.SIGINT else Terminated
        return kind(told or self.phase.ended)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._heard = number
        self._foot.text = f"{self.phase.answer}; once more ends at once"
        if not self._foot.shown:
            # A plain write is all that is safe in a signal handler: the console may be in the middle of a line.
            with suppress(OSError):
                os.write(2, f"\n{self._foot.text}\n".encode())
        for ending in _SIGNALS:
            signal.signal(ending, signal.SIG_DFL)
        # It may come again: from the system and from the shell that ends.
        signal.signal(_LOST, signal.SIG_IGN)
        if self._anywhere:
            raise _EndedNow


class StopAction:
    """Ends training after an update that some process was asked to stop in, in all of them after the same one."""

    def __init__(self, stopping: Stopping, parallel: Parallel) -> None:
        self._stopping = stopping
        self._parallel = parallel

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """Raises Interrupted or Terminated when a signal came."""
        del progress, epoch_ended
        if self._parallel.any(self._stopping.asked):
            raise self._stopping.ending()
