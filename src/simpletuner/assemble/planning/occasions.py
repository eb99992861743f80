"""How often a run draws, evaluates and saves: its schedules asked about every update, without one being made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simpletuner.assemble.seeing.pictures import schedule_of
from simpletuner.assemble.training.actions import Intervals
from simpletuner.assemble.training.length import Length
from simpletuner.config.load import LoadedRun
from simpletuner.core.progress import Progress
from simpletuner.data.order.calendar import Calendar
from simpletuner.validation.schedule import due, due_at_end, due_at_start, evaluation_due


@dataclass(frozen=True)
class Occasions:
    """Counts over a whole run that begins at step 0."""

    validations: int
    evaluations: int
    checkpoints: int


def occasions(loaded: LoadedRun, calendar: Calendar, length: Length) -> Occasions:
    """How often each happens, at the start and at the end too."""
    draws, saves = schedule_of(loaded, 0), _intervals(loaded)
    asked = loaded.config.evaluation
    intervals = asked.eval_steps_interval, asked.eval_epoch_interval
    validations, checkpoints, evaluations = int(due_at_start(draws)), 0, 0
    drawn = saved = 0
    for progress, ended in _progress(calendar, length.steps):
        if due(draws, progress, epoch_ended=ended):
            validations, drawn = validations + 1, progress.step
        if saves.is_due(progress, epoch_ended=ended):
            saved = progress.step
            checkpoints += 1
        elif saves.is_rolling_due(progress):
            checkpoints += 1
        evaluations += evaluation_due(progress.step, length.updates_per_epoch, *intervals)
    validations += due_at_end(draws, length.steps, drawn or None)
    return Occasions(validations, evaluations, checkpoints + (saved != length.steps))


def _intervals(loaded: LoadedRun) -> Intervals:
    config = loaded.config.checkpoints
    return Intervals(
        config.checkpoint_step_interval, config.checkpoint_epoch_interval, config.checkpointing_rolling_steps
    )


def _progress(calendar: Calendar, steps: int) -> Iterator[tuple[Progress, bool]]:
    """Where the run stands after each update, and whether that ended an epoch."""
    progress, left = Progress(), calendar.length(0)
    for _ in range(steps):
        left -= 1
        ended = left == 0
        progress = progress.advanced(epoch_ended=ended)
        if ended:
            left = calendar.length(progress.epoch) if progress.step < steps else 1
        yield progress, ended
