"""When to validate and when to evaluate, decided from numbers alone."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from simpletuner.core.progress import Progress


@dataclass(frozen=True)
class Schedule:
    """The options that say when; 0 or None switches an interval off.

    ``first_step`` is the step resumed from: what was due up to it belongs to the run before.
    """

    step_interval: int | None = None
    epoch_interval: int | None = None
    on_startup: bool = False
    after_step: int = 0
    after_epoch: int = 0
    first_step: int = 0

    @property
    def is_off(self) -> bool:
        """Nothing asks for validation, so the end of training does not either."""
        return not (_positive(self.step_interval) or _positive(self.epoch_interval) or self.on_startup)


def due_at_start(schedule: Schedule) -> bool:
    """Before the first update of this run."""
    return schedule.on_startup


def due(schedule: Schedule, progress: Progress, *, epoch_ended: bool) -> bool:
    """After the update that ended at ``progress``; ``epoch_ended`` says that it was the last of an epoch.

    Nothing is due before both ``after_step`` updates and ``after_epoch`` whole epochs.
    """
    if progress.step <= schedule.first_step or progress.step < schedule.after_step:
        return False
    if progress.epoch < schedule.after_epoch:
        return False
    return _every(schedule.step_interval, progress.step) or (
        epoch_ended and _every(schedule.epoch_interval, progress.epoch)
    )


def due_at_end(schedule: Schedule, step: int, last_validated: int | None) -> bool:
    """After the last update, unless these very weights were just validated. ``after_step`` does not hold it back."""
    return not schedule.is_off and last_validated != step


def evaluation_due(
    step: int, updates_per_epoch: int, step_interval: int | None, epoch_interval: float | None, first_step: int = 0
) -> bool:
    """Held-out loss after update ``step``: either interval may ask for it.

    ``epoch_interval`` may be a share of an epoch: 0.5 is first due at the half, at the first update that reaches it.
    """
    if step <= first_step:
        return False
    return _every(step_interval, step) or _epochs_crossed(step, updates_per_epoch, epoch_interval)


def _epochs_crossed(step: int, updates_per_epoch: int, interval: float | None) -> bool:
    if not interval or interval <= 0:
        return False
    # Fractions of the decimal text: 0.1 is a tenth, so the tenth one falls on the end of the epoch.
    every = Fraction(str(interval)) * updates_per_epoch
    return step // every > (step - 1) // every


def _every(interval: int | None, count: int) -> bool:
    return interval is not None and interval > 0 and count % interval == 0


def _positive(interval: int | None) -> bool:
    return interval is not None and interval > 0
