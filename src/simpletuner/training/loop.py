"""The loop: updates in the planned order, each told to whoever listens, with actions between them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from simpletuner.core.batch import Sizes
from simpletuner.core.errors import NonFiniteError
from simpletuner.core.events import Emit, StepDone
from simpletuner.core.keyed import derive_seed
from simpletuner.core.progress import Action, Progress
from simpletuner.core.samples import Update, Use
from simpletuner.training.batches import BatchMaker
from simpletuner.training.ema import Ema
from simpletuner.training.gradients import GradientSize, clip, measure
from simpletuner.training.model import TrainedModel
from simpletuner.training.optimizers import rate_in_force, set_rate
from simpletuner.training.schedules import Schedule, rate_at
from simpletuner.training.step import Predict, row_losses


@dataclass(frozen=True)
class Course:
    """What the loop follows. ``plan`` gives an epoch's updates; ``slices`` cuts one update into this rank's
    micro-batches; ``prior`` says whether a data set trains towards the base model. ``resumed_from`` names the
    checkpoint, and ``first_step`` counts the updates, that a resumed run starts from.
    """

    plan: Callable[[int], Sequence[Update]]
    slices: Callable[[Update], Sequence[Sequence[Use]]]
    prior: Callable[[str], bool]
    max_steps: int
    seed: int
    first_step: int = 0
    resumed_from: str | None = None


@dataclass(frozen=True)
class Clipping:
    """``method`` is ``value`` or ``norm``; 0 switches clipping off."""

    method: str
    threshold: float


@dataclass(frozen=True)
class Engine:
    """What an update works with."""

    accelerator: Accelerator
    model: TrainedModel
    wrapped: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    clipping: Clipping
    ema: Ema | None
    batches: BatchMaker


@dataclass(frozen=True)
class Outcome:
    """What one update did: the mean loss over its samples, gradients before clipping, the rate, the EMA's decay."""

    loss: float
    size: GradientSize
    rate: float
    ema_decay: float | None


def run(engine: Engine, course: Course, start: Progress, actions: Sequence[Action], emit: Emit) -> Progress:
    """Train from ``start`` to ``course.max_steps`` updates; where the run stands afterwards.

    Raises NonFiniteError before a NaN or an infinity can reach a weight.
    """
    progress = start
    for update, last in _updates(course, start):
        began = time.perf_counter()
        outcome = apply_update(engine, course, update, progress.step + 1)
        emit(_told(progress, course, update, outcome, time.perf_counter() - began))
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


def apply_update(engine: Engine, course: Course, update: Update, step: int) -> Outcome:
    """One weight update, number ``step`` (1-based), over all micro-batches of ``update``."""
    # For what draws from torch's own stream inside the model: an adapter's dropout.
    torch.manual_seed(derive_seed(course.seed, "update", step))
    parameters = list(engine.model.trainable().values())
    engine.optimizer.zero_grad(set_to_none=True)
    loss = _accumulate(engine, course, update)
    size = measure(parameters)
    if not (math.isfinite(loss) and size.is_finite):
        raise _not_finite(update, step, loss, size)
    clip(parameters, engine.clipping.method, engine.clipping.threshold, size)
    set_rate(engine.optimizer, rate_at(engine.schedule, step))
    engine.optimizer.step()
    rate = rate_in_force(engine.optimizer)
    return Outcome(loss=loss, size=size, rate=rate, ema_decay=engine.ema.update(step) if engine.ema else None)


def _accumulate(engine: Engine, course: Course, update: Update) -> float:
    """Gradients of the mean loss over the update's samples, whatever its slicing; the mean itself."""
    slices = [uses for uses in course.slices(update) if uses]
    prior = _base_model(engine) if course.prior(update.dataset) else None
    # DDP averages gradients over ranks; the loss is a sum over all samples divided by their number.
    weight = engine.accelerator.num_processes / len(update.uses)
    total = torch.zeros((), device=engine.accelerator.device)
    for index, uses in enumerate(slices):
        losses = _micro_batch(engine, uses, prior, weight, is_last=index == len(slices) - 1)
        total += losses.sum()
    summed: Tensor = engine.accelerator.reduce(total, reduction="sum")
    return float(summed) / len(update.uses)


def _micro_batch(engine: Engine, uses: Sequence[Use], prior: Predict | None, weight: float, *, is_last: bool) -> Tensor:
    batch = engine.batches.make(uses)
    # Ranks exchange gradients once, with the last micro-batch.
    with nullcontext() if is_last else engine.accelerator.no_sync(engine.wrapped):
        losses = row_losses(engine.wrapped, batch, engine.accelerator.device, prior)
        engine.accelerator.backward(losses.sum() * weight)
    return losses.detach()


def _base_model(engine: Engine) -> Predict:
    def predict(noisy: Tensor, sigma: Tensor, prompts: Sequence[Tensor], sizes: Sizes | None) -> Tensor:
        with engine.model.strength(0.0):
            velocity: Tensor = engine.model(noisy, sigma, prompts, sizes)
        return velocity

    return predict


def _not_finite(update: Update, step: int, loss: float, size: GradientSize) -> NonFiniteError:
    files = ", ".join(sorted({str(use.sample) for use in update.uses})[:8])
    return NonFiniteError(
        f"step {step} gave loss {loss} and gradient norm {size.norm}; weights were not touched; pictures: {files}",
        cure="lower learning_rate, or train with mixed_precision=no; resume from the last checkpoint",
    )


def _told(before: Progress, course: Course, update: Update, outcome: Outcome, seconds: float) -> StepDone:
    metrics = {"grad_norm": outcome.size.norm, "grad_absmax": outcome.size.absmax}
    if outcome.ema_decay is not None:
        metrics["ema_decay_value"] = outcome.ema_decay
    if course.prior(update.dataset):
        metrics["regularisation_loss"] = outcome.loss
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
