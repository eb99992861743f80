"""One weight update: the gradients of all its samples, however they are sliced, checked before a weight moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from simpletuner.core.batch import Batch, Prompt, Sizes
from simpletuner.core.keyed import derive_seed
from simpletuner.core.memory import first_line, give_back, is_exhausted
from simpletuner.core.samples import Update, Use
from simpletuner.training import draws
from simpletuner.training.batches import BatchMaker
from simpletuner.training.ema import Ema
from simpletuner.training.gradients import GradientSize, Trained, clip, measure
from simpletuner.training.health import HurtError, first_hurt, not_finite
from simpletuner.training.meter import BINS, Meter, by_bin
from simpletuner.training.model import TrainedModel
from simpletuner.training.objectives.objective import PLAIN, Objective
from simpletuner.training.objectives.predict import Predict
from simpletuner.training.objectives.terms import TERMS, RowTerms, figures
from simpletuner.training.optimizers import rate_in_force, set_rate
from simpletuner.training.parallel.base import Parallel
from simpletuner.training.room import Exhausted, Room, memory_named, shape_of
from simpletuner.training.schedules import Schedule, rate_at
from simpletuner.training.step import Models, row_terms


@dataclass(frozen=True)
class Clipping:
    """``method`` is ``value`` or ``norm``; 0 switches clipping off."""

    method: str
    threshold: float


@dataclass(frozen=True)
class Engine:
    """What an update works with. ``slices`` cuts one update into this process's micro-batches, as many in every
    process, the last ones perhaps empty; ``prior`` says whether a data set trains towards the base model; ``room``
    remembers what fits into memory. ``own_draws`` keeps apart what processes draw inside the model; ``meter`` says what
    a loss means.
    """

    parallel: Parallel
    model: TrainedModel
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    clipping: Clipping
    ema: Ema | None
    batches: BatchMaker
    slices: Callable[[Update], Sequence[Sequence[Use]]]
    prior: Callable[[str], bool]
    seed: int
    own_draws: tuple[int, ...] = ()
    room: Room = field(default_factory=Room)
    objective: Objective = PLAIN
    meter: Meter | None = None


@dataclass(frozen=True)
class Outcome:
    """What one update did: the mean loss over its samples, gradients before clipping, the rate, the EMA's decay.

    ``is_prior`` says that the loss is a distance from the base model; ``told`` is what a person should know;
    ``is_left_out`` that nothing moved; ``figures`` are what the objective and the meter know.
    """

    loss: float
    size: GradientSize
    rate: float
    ema_decay: float | None
    is_prior: bool
    told: tuple[str, ...] = ()
    is_left_out: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass
class _Losses:
    """The loss of each row of this process, micro-batch by micro-batch; ``total`` sums all terms and, behind them, the
    losses in each bin of sigma, on the device. ``told`` is what this process has to say.
    """

    total: Tensor
    rows: list[tuple[Sequence[Use], Tensor]] = field(default_factory=list)
    told: Sequence[str] = ()

    def add(self, batch: Batch, terms: RowTerms, counts: float) -> None:
        self.total += torch.cat((terms.sums(), by_bin(terms.loss, batch.sigma))) * counts
        self.rows.append((batch.uses, terms.loss * counts))

    def with_lines(self) -> Tensor:
        """``total``, and behind it how many lines there are to tell."""
        return torch.cat((self.total, self.total.new_tensor([len(self.told)])))

    def suspects(self) -> list[str]:
        """The pictures whose own loss is not finite."""
        found = ((use, loss) for uses, losses in self.rows for use, loss in zip(uses, losses.tolist(), strict=True))
        return [str(use.sample) for use, loss in found if not math.isfinite(loss)]


def apply_update(engine: Engine, update: Update, step: int) -> Outcome:
    """One weight update, number ``step`` (1-based), over all micro-batches of ``update``.

    Raises NonFiniteError before a NaN or an infinity can reach a weight; HurtError when the update itself made one,
    before the average has seen it. OutOfMemory when a single sample does not fit.
    """
    parameters = list(engine.model.trainable().values())
    losses = _gradients(engine, update, step)
    *sums, lines = engine.parallel.sum(losses.with_lines()).tolist()
    loss = sums[0] / len(update.uses)
    engine.parallel.sum_gradients(parameters)
    held = engine.parallel.held(parameters)
    size = engine.parallel.whole_size(measure(held))
    if engine.parallel.any(not (math.isfinite(loss) and size.is_finite)):
        raise not_finite(step, loss, size.norm, _files(update), losses.suspects())
    _move(engine, update, step, held, size)
    return Outcome(
        loss=loss,
        size=size,
        rate=rate_in_force(engine.optimizer),
        ema_decay=engine.ema.update(step) if engine.ema else None,
        is_prior=engine.prior(update.dataset),
        told=tuple(engine.parallel.all_said(losses.told) if lines else ()),
        figures=_figures(engine, update, sums),
    )


def _figures(engine: Engine, update: Update, sums: Sequence[float]) -> dict[str, float]:
    """What the process that tells knows of an update from the sums of all processes."""
    told = figures(sums[:TERMS], len(update.uses)) if engine.objective.rollout else {}
    if engine.meter is None or not engine.parallel.is_first:
        return told
    # A sigma is keyed by its use, so what other processes drew is known here.
    seed, law = engine.batches.seed, engine.objective.timesteps
    sigmas = [float(draws.sigma(seed, use, law)) for use in update.uses]
    return told | engine.meter.figures(update, sigmas, sums[TERMS:])


def _move(engine: Engine, update: Update, step: int, held: Sequence[Trained], size: GradientSize) -> None:
    """Clip the gradients and move the weights by them. Raises HurtError when that made one of them not finite."""
    clip(held, engine.clipping.method, engine.clipping.threshold, size)
    set_rate(engine.optimizer, rate_at(engine.schedule, step))
    with engine.parallel.moving():
        engine.optimizer.step()
    hurt = first_hurt(engine.model.trainable())
    if engine.parallel.any(hurt is not None):
        raise HurtError(step, hurt or "a weight of another process", _files(update))


def _gradients(engine: Engine, update: Update, step: int) -> _Losses:
    """Gradients of the mean loss over the update's samples, whatever its slicing; the losses, and what to tell.

    Everything is read before the first pass: from there on processes may wait for each other, and none may be missing.
    When memory runs out the update begins again in smaller micro-batches: what a backward pass had added up when it
    failed counts for nothing, and where all goes well nothing has to be kept to take it back.
    """
    told: list[str] = []
    with engine.parallel.in_step():
        passes = _read(engine, update, step)
    with engine.parallel.in_passes():
        while isinstance(found := _attempt(engine, update, step, passes), Exhausted):
            give_back()
            told.append(engine.room.halve(update, found, in_step=engine.parallel.is_sharded))
            passes = _read(engine, update, step)
    return replace(found, told=told)


def _read(engine: Engine, update: Update, step: int) -> list[tuple[Batch, bool]]:
    """This process's micro-batches, each with whether it counts."""
    shared = engine.parallel.passes(engine.slices(update), update)
    passes = [(piece, counts) for uses, counts in shared for piece in engine.room.cut(update, [uses])]
    with memory_named(f"the pictures of an update of {shape_of(update)} do not fit into memory"):
        return [(engine.batches.make(uses, engine.objective, step), counts) for uses, counts in passes]


def _attempt(engine: Engine, update: Update, step: int, passes: Sequence[tuple[Batch, bool]]) -> _Losses | Exhausted:
    # For what draws from torch's own stream inside the model: an adapter's dropout.
    torch.manual_seed(derive_seed(engine.seed, "update", step, *engine.own_draws))
    engine.optimizer.zero_grad(set_to_none=True)
    prior = _base_model(engine) if engine.prior(update.dataset) else None
    models = Models(engine.parallel.computing(engine.model), _as_it_draws(engine.model), prior)
    losses = _Losses(torch.zeros(TERMS + BINS, device=engine.parallel.device))
    for index, (batch, counts) in enumerate(passes):
        try:
            with engine.parallel.micro_batch(is_last=index == len(passes) - 1):
                losses.add(batch, _micro_batch(engine, models, batch, counts / len(update.uses)), counts)
        except (MemoryError, RuntimeError) as error:
            if not is_exhausted(error):
                raise
            return Exhausted(len(batch), first_line(error))
    return losses


def _micro_batch(engine: Engine, models: Models, batch: Batch, weight: float) -> RowTerms:
    terms = row_terms(models, batch, engine.parallel.device, engine.objective)
    loss = terms.loss.sum() * weight
    # An adapter's module_dropout may have left all of it out of this pass.
    if loss.requires_grad:
        engine.parallel.backward(loss)
    return terms.detach()


def _as_it_draws(model: TrainedModel) -> Predict:
    """The model as it draws pictures: it learns nothing of what it is asked, and what drops out in training stays."""

    def predict(noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None) -> Tensor:
        model.eval()
        try:
            with torch.no_grad():
                velocity: Tensor = model(noisy, sigma, prompts, sizes)
        finally:
            model.train()
        return velocity

    return predict


def _base_model(engine: Engine) -> Predict:
    def predict(noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None) -> Tensor:
        with engine.model.strength(0.0):
            velocity: Tensor = engine.model(noisy, sigma, prompts, sizes)
        return velocity

    return predict


def _files(update: Update) -> list[str]:
    """The pictures of all processes."""
    return [str(use.sample) for use in update.uses]
