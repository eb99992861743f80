"""The loop: updates in the planned order, each told to whoever listens, with actions between them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simpletuner.core.errors import NonFiniteError
from simpletuner.core.events import Emit, Notice, StepDone
from simpletuner.core.progress import Action, Progress
from simpletuner.core.samples import Update
from simpletuner.training.gradients import GradientSize
from simpletuner.training.health import HurtError
from simpletuner.training.schedules import rate_at
from simpletuner.training.update import Engine, Outcome, apply_update


@dataclass(frozen=True)
class Course:
    """What the loop follows. ``plan`` gives an epoch's updates. ``resumed_from`` names the checkpoint, and
    ``first_step`` counts the updates, that a resumed run starts from. Up to ``skips`` updates may be left out because
    loss or gradient is not finite. ``told`` is the last update that listeners know of: those up to it are made again.
    """

    plan: Callable[[int], Sequence[Update]]
    max_steps: int
    first_step: int = 0
    resumed_from: str | None = None
    skips: int = 0
    told: int = 0


def run(engine: Engine, course: Course, start: Progress, actions: Sequence[Action], emit: Emit) -> Progress:
    """Train from ``start`` to ``course.max_steps`` updates; where the run stands afterwards.

    Raises NonFiniteError before a NaN or an infinity can reach a weight, and HurtError when an update made one.
    """
    progress = start
    for update, last in _updates(course, start):
        began = time.perf_counter()
        outcome = _made(engine, course, update, progress)
        if outcome.is_left_out:
            progress = progress.leaving_out(progress.step + 1)
        if progress.step >= course.told:
            _tell(progress, course, update, outcome, time.perf_counter() - began, emit)
        progress = progress.advanced(epoch_ended=last)
        for action in actions:
            action.after_update(progress, epoch_ended=last)
    return progress


def _updates(course: Course, start: Progress) -> Iterator[tuple[Update, bool]]:
    """The remaining updates and whether each ends its epoch."""
    left, epoch, offset = course.max_steps - start.step, start.epoch, start.epoch_step
    while left > 0:
        plan = course.plan(epoch)
        for index in range(offset, min(len(plan), offset + left)):
            yield plan[index], index == len(plan) - 1
        left -= len(plan) - offset
        epoch, offset = epoch + 1, 0


def _made(engine: Engine, course: Course, update: Update, before: Progress) -> Outcome:
    """The update done, or left out as long as the budget lasts: then nothing moves, and its number is used up."""
    step = before.step + 1
    if step in before.skipped:
        return _left_out(engine, step, "known to make weights that are not finite")
    try:
        return apply_update(engine, update, step)
    except HurtError:
        raise
    except NonFiniteError as error:
        if len(before.skipped) >= course.skips:
            raise
        count = f"{len(before.skipped) + 1} of at most {course.skips}"
        return _left_out(engine, step, f"{error.reason} ({count})")


def _left_out(engine: Engine, step: int, why: str) -> Outcome:
    nothing = GradientSize(norm=math.nan, absmax=math.nan)
    rate = rate_at(engine.schedule, step)
    told = (f"update {step} is left out: {why}",)
    return Outcome(math.nan, nothing, rate, ema_decay=None, is_prior=False, told=told, is_left_out=True)


def _tell(before: Progress, course: Course, update: Update, outcome: Outcome, seconds: float, emit: Emit) -> None:
    for line in outcome.told:
        emit(Notice(line, level="warning"))
    emit(_step_done(before, course, update, outcome, seconds))


def _step_done(before: Progress, course: Course, update: Update, outcome: Outcome, seconds: float) -> StepDone:
    metrics = {"grad_norm": outcome.size.norm, "grad_absmax": outcome.size.absmax}
    if outcome.ema_decay is not None:
        metrics["ema_decay_value"] = outcome.ema_decay
    if outcome.is_prior:
        metrics["regularisation_loss"] = outcome.loss
    metrics |= outcome.figures
    if outcome.is_left_out:
        metrics["skipped_update"] = 1.0
    return StepDone(
        step=before.step + 1,
        epoch=before.epoch + 1,
        max_steps=course.max_steps,
        loss=outcome.loss,
        learning_rate=outcome.rate,
        step_seconds=seconds,
        samples=len(update.uses),
        metrics=metrics,
        resumed_from=course.resumed_from if before.step == course.first_step else None,
    )
