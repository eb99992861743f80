"""Saving between updates: when it is due, what must hold before it, and what goes after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from simpletuner.core.checkpoints import checkpoint_name, written_checkpoint
from simpletuner.core.disk import disk_error
from simpletuner.core.errors import DataError, ToldError
from simpletuner.core.events import CheckpointSaved, Emit, Notice
from simpletuner.core.progress import Progress
from simpletuner.core.retention import Limits, may_promote, promote, prune
from simpletuner.core.stages import told_stage
from simpletuner.training.checkpoint import Saver


@dataclass(frozen=True)
class Intervals:
    """When to save (SPEC 6.1): every so many updates, epochs, and updates for a rolling one; None or 0 is never."""

    steps: int | None = None
    epochs: int | None = None
    rolling_steps: int | None = None

    def is_due(self, progress: Progress, *, epoch_ended: bool) -> bool:
        """Whether an ordinary checkpoint is due."""
        return _divides(self.steps, progress.step) or (epoch_ended and _divides(self.epochs, progress.epoch))

    def is_rolling_due(self, progress: Progress) -> bool:
        """Whether a rolling checkpoint is due, where no ordinary one is."""
        return _divides(self.rolling_steps, progress.step)


@dataclass
class CheckpointAction:
    """Saves when ``intervals`` say so, and keeps what ``limits`` say. All processes save together.

    ``ready`` is called before a save, in the process that writes, and raises DataError where none should be made.
    ``saved_step`` is the step saved last, at first the one resumed from, ``rolled_step`` that of the last rolling one;
    ``refused_step`` could not be saved, and is not tried again; ``latest`` is where the run stands.
    """

    saver: Saver
    output_dir: Path
    intervals: Intervals
    limits: Limits
    emit: Emit
    ready: Callable[[], None] = lambda: None
    saved_step: int = -1
    rolled_step: int = -1
    refused_step: int = -1
    latest: Progress | None = None

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """Save when due."""
        self.latest = progress
        if self.intervals.is_due(progress, epoch_ended=epoch_ended):
            self.save(progress)
        elif self.intervals.is_rolling_due(progress):
            self._write(progress, is_rolling=True)
            self.rolled_step = progress.step

    def save(self, progress: Progress) -> None:
        """Write ``checkpoint-<step>``, unless this very step was just saved, and then remove the oldest.

        A rolling checkpoint of this step becomes the ordinary one, where it is still there and nothing is in its way.
        """
        if progress.step in (self.saved_step, self.refused_step):
            return
        if self.rolled_step != progress.step or not self._promoted(progress):
            self._write(progress, is_rolling=False)
        self.saved_step = progress.step

    @property
    def _writes(self) -> bool:
        return self.saver.parallel.is_first

    def _promoted(self, progress: Progress) -> bool:
        """Whether the rolling checkpoint of this step is the ordinary one now: the first process sees to it.

        Nothing is exchanged after the attempt: who has heard of a refusal does not come to it.
        """
        parallel, step = self.saver.parallel, progress.step
        if not parallel.any(self._writes and may_promote(self.output_dir, step)):
            return False
        with self._refusals_kept(step), parallel.together():
            if self._writes:
                _promote(self.output_dir, step)
        if self._writes:
            self._prune(progress)
        return True

    def _write(self, progress: Progress, *, is_rolling: bool) -> None:
        def folder() -> AbstractContextManager[Path]:
            return when_ready(self.ready, written_checkpoint(self.output_dir, progress.step, is_rolling=is_rolling))

        with told_stage(self.emit, "checkpoint_save"), self._refusals_kept(progress.step):
            self.saver.save(folder, progress)
            if self._writes:
                path = self.output_dir / checkpoint_name(progress.step, is_rolling=is_rolling)
                self.emit(CheckpointSaved(progress.step, path))
        if self._writes:
            self._prune(progress)

    def _prune(self, progress: Progress) -> None:
        if progress.step in progress.skipped:
            # Nothing has been learned since the loss was no number: the older ones may be the last good ones.
            return
        prune(self.output_dir, self.limits, lambda told: self.emit(Notice(told, level="warning")))

    @contextmanager
    def _refusals_kept(self, step: int) -> Iterator[None]:
        """In all processes alike: one that tried again alone would wait for the others."""
        try:
            yield
        except (DataError, ToldError):
            self.refused_step = step
            raise


@contextmanager
def when_ready(ready: Callable[[], None], opened: AbstractContextManager[Path]) -> Iterator[Path]:
    """The folder that ``opened`` gives, after ``ready``, which raises DataError where nothing should be saved."""
    ready()
    with opened as folder:
        yield folder


def _promote(output_dir: Path, step: int) -> None:
    """As :func:`simpletuner.core.retention.promote`. Raises DataError when the disk refuses."""
    try:
        promote(output_dir, step)
    except OSError as error:
        named = disk_error(error, output_dir / checkpoint_name(step))
        if named is None:
            raise
        raise named from error


def _divides(interval: int | None, count: int) -> bool:
    return interval is not None and interval > 0 and count % interval == 0
