"""Where each epoch of a run begins and how long it is, without planning it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simpletuner.data.order.plan import EpochPlan, PlannedDataset, plan_epoch
from simpletuner.data.order.race import (
    Entrant,
    Sampling,
    Start,
    interleave,
    next_epoch_boundary,
    next_step_boundary,
    nobody,
)


@dataclass(frozen=True)
class Stretch:
    """``count`` epochs of one length in a row, with the epochs (from 0) and updates before them."""

    epoch: int
    step: int
    length: int
    count: int

    @property
    def next_epoch(self) -> int:
        """The epoch after the last."""
        return self.epoch + self.count

    @property
    def next_step(self) -> int:
        """The updates before the epoch after the last."""
        return self.step + self.count * self.length


class Calendar:
    """The epochs of a run. Every method raises ConfigError when the run reaches a step that no data set is used for.

    Epochs are counted by plain arithmetic while no data set begins or ends; only an epoch in the middle of which one
    does is drawn, once. ``in_epoch`` gives the data sets of an epoch (from 0) where buckets differ between epochs;
    each epoch is then counted by itself.
    """

    def __init__(
        self,
        datasets: Sequence[PlannedDataset],
        seed: int,
        sampling: Sampling = "auto-weighting",
        in_epoch: Callable[[int], Sequence[PlannedDataset]] | None = None,
    ) -> None:
        self._in_epoch = in_epoch or (lambda _epoch: datasets)
        self._all_alike = in_epoch is None
        self._entrants = _entrants(datasets)
        self._seed = seed
        self._sampling: Sampling = sampling
        self._known: list[Stretch] = []

    def first_step(self, epoch: int) -> int:
        """The updates before ``epoch`` (from 0)."""
        if epoch <= 0:
            return 0
        stretch = self._first(lambda stretch: stretch.next_epoch >= epoch)
        return stretch.step + (epoch - stretch.epoch) * stretch.length

    def length(self, epoch: int) -> int:
        """The updates of ``epoch`` (from 0)."""
        return self._first(lambda stretch: stretch.next_epoch > epoch).length

    def plan(self, epoch: int) -> EpochPlan:
        """The updates of ``epoch`` (from 0) in order."""
        return plan_epoch(self._in_epoch(epoch), self._seed, epoch, self.first_step(epoch), self._sampling)

    def steps_for(self, epochs: int) -> int:
        """The updates of the first ``epochs`` epochs."""
        return self.first_step(epochs)

    def epochs_for(self, steps: int) -> int:
        """The epochs, the last perhaps in part, that the first ``steps`` updates take."""
        if steps <= 0:
            return 0
        stretch = self._first(lambda stretch: stretch.next_step >= steps)
        return stretch.epoch - (stretch.step - steps) // stretch.length

    def unused(self, steps: int) -> tuple[str, ...]:
        """The ids of the data sets that begin only after the first ``steps`` updates."""
        epochs = self.epochs_for(steps)
        return tuple(
            entrant.id
            for entrant in self._entrants
            if entrant.window.steps[0] >= steps or entrant.window.epochs[0] >= epochs
        )

    def _first(self, fits: Callable[[Stretch], bool]) -> Stretch:
        return next(stretch for stretch in self._stretches() if fits(stretch))

    def _stretches(self) -> Iterator[Stretch]:
        """Every stretch from the first epoch on; the last one has no end."""
        yield from self._known
        while True:
            last = self._known[-1] if self._known else Stretch(0, 0, 0, 0)
            self._known.append(self._stretch(last.next_epoch, last.next_step))
            yield self._known[-1]

    def _stretch(self, epoch: int, step: int) -> Stretch:
        entrants = self._entrants if self._all_alike else _entrants(self._in_epoch(epoch))
        length = sum(entrant.updates for entrant in entrants if entrant.takes_part(epoch, step))
        if not length:
            raise nobody(entrants, epoch, step)
        whole = (next_step_boundary(entrants, step) - step) // length
        if not whole:
            return Stretch(epoch, step, len(interleave(entrants, Start(self._seed, epoch, step, self._sampling))), 1)
        alike = next_epoch_boundary(entrants, epoch) - epoch if self._all_alike else 1
        return Stretch(epoch, step, length, min(whole, alike))


def _entrants(datasets: Sequence[PlannedDataset]) -> tuple[Entrant, ...]:
    return tuple(dataset.entrant for dataset in datasets)
