"""The loss on pictures that are never trained on, at noise that is the same each time.

A training loss jumps because every step has other pictures, other noise and other sigmas. Here all three are fixed:
each picture is shown at a fixed row of sigmas, which stands for their law, with noise keyed by the picture and by its
place in that row. What moves between two evaluations is the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from simpletuner.core.batch import Batch
from simpletuner.core.errors import OutOfMemory
from simpletuner.core.events import Emit, StageProgress
from simpletuner.core.memory import first_line, give_back, is_exhausted
from simpletuner.core.ranks import ALONE, Ranks
from simpletuner.core.samples import SampleId, Use

Weights = Callable[[], AbstractContextManager[None]]
"""Puts one kind of weights (base, live, averaged) in place for as long as the block lasts."""

STAGE = "evaluation"


@dataclass(frozen=True)
class Measured:
    """The loss of each picture, over all sigmas, and at each sigma, over all pictures."""

    pictures: tuple[float, ...]
    curve: tuple[float, ...]

    @classmethod
    def of(cls, losses: Tensor) -> Measured:
        """From the loss of each picture at each sigma, (N, T)."""
        return cls(tuple(losses.mean(dim=1).tolist()), tuple(losses.mean(dim=0).tolist()))


@dataclass(frozen=True)
class Bench:
    """Where pictures are measured.

    ``batch`` makes the batch of some uses, whose sigma is put in its place here; ``losses`` gives the loss of each row,
    (B,); ``rows`` is how many are computed at once. Pictures are shared out over ``ranks`` and put together by ``sum``;
    ``in_step`` says that every process has to make as many passes as the others. ``together`` is around what a process
    does for itself, so that what fails in one fails in all.
    """

    sigmas: tuple[float, ...]
    batch: Callable[[Sequence[Use]], Batch]
    losses: Callable[[Batch], Tensor]
    rows: int
    ranks: Ranks = ALONE
    sum: Callable[[Tensor], Tensor] = lambda values: values
    in_step: bool = False
    together: Callable[[], AbstractContextManager[None]] = nullcontext

    def measure(self, samples: Sequence[SampleId], weights: Weights, label: str, emit: Emit) -> Tensor:
        """The loss of each picture at each sigma, (N, T) float64 on the CPU, the same in every process.

        The same pictures give the same numbers whatever the number of processes. Raises OutOfMemory.
        """
        found = torch.zeros(len(samples), len(self.sigmas), dtype=torch.float64)
        with self.together():
            said = ""
            try:
                with weights():
                    self._measure_mine(samples, found, label, emit)
            except (MemoryError, RuntimeError) as error:
                if not is_exhausted(error):
                    raise
                said = first_line(error)
            if said:
                give_back()
                levels = f"{min(self.rows, len(self.sigmas))} of {len(self.sigmas)} noise levels"
                raise OutOfMemory(f"{label}: no memory for a picture at {levels}: {said}")
        return self.sum(found)

    def _measure_mine(self, samples: Sequence[SampleId], found: Tensor, label: str, emit: Emit) -> None:
        mine = list(self._shares(len(samples)))
        for done, (place, counts) in enumerate(mine, 1):
            losses = self._picture(samples[place])
            if counts:
                found[place] = losses
            emit(StageProgress(STAGE, label, done, len(mine)))

    def _shares(self, count: int) -> Iterator[tuple[int, bool]]:
        """The pictures of this process, each with whether it counts or only keeps the others company."""
        for first in range(0, count, self.ranks.count):
            place = first + self.ranks.rank
            if place < count:
                yield place, True
            elif self.in_step:
                yield count - 1, False

    def _picture(self, sample: SampleId) -> Tensor:
        """The loss of one picture at each sigma, (T,). Its use number k is the one at sigma k: noise is keyed by it."""
        uses = [Use(sample, visit) for visit in range(len(self.sigmas))]
        found = []
        for first in range(0, len(uses), self.rows):
            part = uses[first : first + self.rows]
            sigma = torch.tensor(self.sigmas[first : first + self.rows], dtype=torch.float32)
            found.append(self.losses(replace(self.batch(part), sigma=sigma)).detach().to("cpu", torch.float64))
        return torch.cat(found)


def scalars(name: str, sigmas: Sequence[float], curve: Sequence[float]) -> dict[str, float]:
    """A curve over sigma as one number a point, which every tracker can show."""
    return {f"chart/{name}/{sigma:.3f}": loss for sigma, loss in zip(sigmas, curve, strict=True)}


def spread(samples: Mapping[str, Sequence[SampleId]], most: int | None) -> dict[str, tuple[SampleId, ...]]:
    """At most so many pictures of each data set, in order of their names, evenly spread; None takes all."""
    return {name: tuple(_spread(sorted(found), most)) for name, found in samples.items() if found}


def _spread(samples: Sequence[SampleId], most: int | None) -> Iterator[SampleId]:
    wanted = len(samples) if most is None else min(most, len(samples))
    for place in range(wanted):
        yield samples[place * len(samples) // wanted]
