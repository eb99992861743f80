"""What happens between updates besides drawing: saving, and ending when asked to."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from simpletuner.core.checkpoints import prune, written_checkpoint
from simpletuner.core.errors import Interrupted, SimpletunerError, Terminated
from simpletuner.core.events import CheckpointSaved, Emit
from simpletuner.core.progress import Progress
from simpletuner.training.checkpoint import Saver


@dataclass
class CheckpointAction:
    """Saves every ``step_interval`` updates and every ``epoch_interval`` epochs, and keeps at most ``limit``.

    ``saved_step`` is the step saved last, at first the one resumed from; ``latest`` is where the run stands.
    """

    saver: Saver
    output_dir: Path
    step_interval: int | None
    epoch_interval: int | None
    limit: int | None
    emit: Emit
    saved_step: int = -1
    latest: Progress | None = None

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """Save when due."""
        self.latest = progress
        by_step = _divides(self.step_interval, progress.step)
        if by_step or (epoch_ended and _divides(self.epoch_interval, progress.epoch)):
            self.save(progress)

    def save(self, progress: Progress) -> None:
        """Write ``checkpoint-<step>``, unless this very step was just saved, and then remove the oldest."""
        if self.saved_step == progress.step:
            return
        with written_checkpoint(self.output_dir, progress.step) as folder:
            self.saver.write(folder, progress)
        self.saved_step = progress.step
        self.emit(CheckpointSaved(progress.step, self.output_dir / f"checkpoint-{progress.step}"))
        prune(self.output_dir, self.limit)


def _divides(interval: int | None, count: int) -> bool:
    return interval is not None and interval > 0 and count % interval == 0


class StopAction:
    """After SIGINT or SIGTERM: finish the update, save, and end the run. A second signal ends the process at once."""

    def __init__(self, checkpoints: CheckpointAction) -> None:
        """``checkpoints`` saves before the run ends."""
        self._checkpoints = checkpoints
        self._signal: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over both signals inside the block."""
        former = {number: signal.signal(number, self._heard) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._signal = number
        # A plain write is all that is safe in a signal handler: the console may be in the middle of a line.
        os.write(2, b"\nfinishing this step, then saving; once more ends at once\n")
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.SIG_DFL)

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """End the run when a signal came. Raises Interrupted or Terminated after the checkpoint is whole."""
        del epoch_ended
        if self._signal is None:
            return
        self._checkpoints.save(progress)
        raise _ending(self._signal, progress.step)


def _ending(number: int, step: int) -> SimpletunerError:
    kind = Interrupted if number == signal.SIGINT else Terminated
    return kind(f"stopped after step {step}; checkpoint-{step} is saved, and the same command goes on from there")
