"""Which data set the next update is of: the order in which the data sets of an epoch take turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simpletuner.core.errors import ConfigError
from simpletuner.data.order.permutation import Indices, exponentials, words_of

Sampling = Literal["auto-weighting", "uniform"]

NEVER = 2**62
"""Later than any step or epoch."""


@dataclass(frozen=True)
class Window:
    """When a data set is used: after ``start_step`` up to and with ``end_step``, in epochs ``start_epoch`` up to and
    with ``end_epoch``. Steps and epochs count from 1; a start of 0 or 1 means from the first one on (SPEC 3.14, 10.3
    item 44: with ``end_step`` 300 of one and ``start_step`` 300 of the next, 300 is the last step of the first one).
    """

    start_epoch: int = 1
    start_step: int = 0
    end_epoch: int | None = None
    end_step: int | None = None

    @property
    def steps(self) -> tuple[int, int]:
        """The steps before the first one it is used for, and its last one."""
        return (self.start_step if self.start_step > 1 else 0, NEVER if self.end_step is None else self.end_step)

    @property
    def epochs(self) -> tuple[int, int]:
        """The epochs before the first one it is used in, and its last one."""
        return (max(self.start_epoch - 1, 0), NEVER if self.end_epoch is None else self.end_epoch)

    def is_open(self, epoch: int, step: int) -> bool:
        """Whether it is open after ``epoch`` whole epochs and ``step`` updates."""
        return self.epochs[0] <= epoch < self.epochs[1] and self.steps[0] <= step < self.steps[1]

    def __str__(self) -> str:
        """As the user wrote it."""
        last_step = "on" if self.end_step is None else f"to {self.end_step}"
        last_epoch = "on" if self.end_epoch is None else f"to {self.end_epoch}"
        return f"steps {self.steps[0] + 1} {last_step}, epochs {self.epochs[0] + 1} {last_epoch}"


@dataclass(frozen=True)
class Entrant:
    """A data set in the race: its updates in a whole epoch, its weight, and when it takes part."""

    id: str
    updates: int
    probability: float
    window: Window

    def takes_part(self, epoch: int, step: int) -> bool:
        """Whether it can be drawn after ``epoch`` whole epochs and ``step`` updates."""
        return self.updates > 0 and self.probability > 0 and self.window.is_open(epoch, step)


@dataclass(frozen=True)
class Start:
    """Where an epoch begins: whole epochs and updates before it, with the seed and the way of drawing."""

    seed: int
    epoch: int
    step: int = 0
    sampling: Sampling = "auto-weighting"


def interleave(entrants: Sequence[Entrant], start: Start) -> Indices:
    """The number of the entrant that each update of the epoch is of.

    The epoch ends when all who take part have used up their updates, even if another would join right then. Who joins
    in the middle brings a whole epoch's updates; who leaves in the middle loses the rest. At such a boundary the race
    is drawn anew, which its lack of memory allows. Raises ConfigError when nobody takes part in the epoch's first
    update.
    """
    left, step = np.array([entrant.updates for entrant in entrants], dtype=np.int64), start.step
    stretches: list[Indices] = []
    while runners := [
        _Runner(number, entrant, int(left[number]))
        for number, entrant in enumerate(entrants)
        if left[number] > 0 and entrant.takes_part(start.epoch, step)
    ]:
        race = _race(runners, start, len(stretches))
        won = race[: next_step_boundary(entrants, step) - step]
        left -= np.bincount(won, minlength=len(entrants))
        step += len(won)
        stretches.append(won)
        if len(won) == len(race):
            break
    if not stretches:
        raise nobody(entrants, start.epoch, step)
    return np.concatenate(stretches)


def next_step_boundary(entrants: Sequence[Entrant], step: int) -> int:
    """The first number of updates above ``step`` after which a window opens or closes."""
    return min((edge for entrant in entrants for edge in entrant.window.steps if edge > step), default=NEVER)


def next_epoch_boundary(entrants: Sequence[Entrant], epoch: int) -> int:
    """The first number of whole epochs above ``epoch`` after which a window opens or closes."""
    return min((edge for entrant in entrants for edge in entrant.window.epochs if edge > epoch), default=NEVER)


def nobody(entrants: Sequence[Entrant], epoch: int, step: int) -> ConfigError:
    """The error for an update that no data set can give."""
    told = "; ".join(f"{entrant.id}: {_why_not(entrant)}" for entrant in entrants)
    return ConfigError(
        f"no data set is used for step {step + 1} of the run (epoch {epoch + 1}): {told}",
        cure="let a data set begin earlier or end later (start_step, start_epoch, end_step, end_epoch)"
        + (f", or end the run with max_train_steps {step}" if step else ""),
    )


def _why_not(entrant: Entrant) -> str:
    if entrant.probability <= 0:
        return f"probability {entrant.probability:g}"
    return str(entrant.window) if entrant.updates else "no picture"


@dataclass(frozen=True)
class _Runner:
    number: int
    entrant: Entrant
    left: int


def _race(runners: Sequence[_Runner], start: Start, stretch: int) -> Indices:
    """The numbers of the runners in one race to the end.

    ``auto-weighting``: each update waits for a time of rate p, so the next one is of a data set with a chance
    proportional to p x updates left (the sampling of Efraimidis and Spirakis). ``uniform``: each data set is a Poisson
    process of rate p, so its size plays no part while it lasts.
    """
    numbers = np.array([runner.number for runner in runners], dtype=np.int32)
    order = np.repeat(numbers, [runner.left for runner in runners])
    if len(runners) == 1:
        return order
    times = []
    for runner in runners:
        waits = exponentials(words_of(start.seed, start.epoch, stretch, runner.entrant.id, "race"), runner.left)
        waits = waits if start.sampling == "auto-weighting" else np.cumsum(waits)
        times.append(waits / runner.entrant.probability)
    return order[np.argsort(np.concatenate(times), kind="stable")]
