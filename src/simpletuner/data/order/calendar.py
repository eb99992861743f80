"""Where each epoch of a run begins and how long it is, without planning it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from simpletuner.core.errors import ConfigError
from simpletuner.data.order.plan import EpochPlan, PlannedDataset, plan_epoch, uses_in
from simpletuner.data.order.race import (
    Entrant,
    Sampling,
    Window,
    next_epoch_boundary,
    next_step_boundary,
    nobody,
)

_MOST_UPDATES = 100_000_000


@dataclass(frozen=True)
class Stretch:
    """``count`` epochs of one length in a row, with the epochs (from 0), updates and uses before them.

    Each has ``length`` updates and ``uses`` uses.
    """

    epoch: int
    step: int
    length: int
    count: int
    use: int = 0
    uses: int = 0

    @property
    def next_epoch(self) -> int:
        """The epoch after the last."""
        return self.epoch + self.count

    @property
    def next_step(self) -> int:
        """The updates before the epoch after the last."""
        return self.step + self.count * self.length

    @property
    def next_use(self) -> int:
        """The uses before the epoch after the last."""
        return self.use + self.count * self.uses


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
        self._begin = Stretch(0, 0, 0, 0)

    def going_on(self, epoch: int, step: int) -> Calendar:
        """This calendar for a run that has done ``step`` updates before ``epoch`` (from 0), where it goes on.

        The epochs before it may have been longer or shorter than they would be now; they have no place in it.
        """
        later, begin = copy(self), Stretch(epoch, step, 0, 0, self.first_use(epoch))
        later._begin, later._known = begin, []  # noqa: SLF001  # another of its own kind
        return later

    def first_step(self, epoch: int) -> int:
        """The updates before ``epoch`` (from 0)."""
        if epoch <= self._begin.epoch:
            return self._begin.step
        stretch = self._first(lambda stretch: stretch.next_epoch >= epoch)
        return stretch.step + (epoch - stretch.epoch) * stretch.length

    def first_use(self, epoch: int) -> int:
        """The uses before ``epoch`` (from 0)."""
        if epoch <= self._begin.epoch:
            return self._begin.use
        stretch = self._first(lambda stretch: stretch.next_epoch >= epoch)
        return stretch.use + (epoch - stretch.epoch) * stretch.uses

    def length(self, epoch: int) -> int:
        """The updates of ``epoch`` (from 0)."""
        return self._first(lambda stretch: stretch.next_epoch > epoch).length

    def plan(self, epoch: int) -> EpochPlan:
        """The updates of ``epoch`` (from 0) in order."""
        return self._planned(epoch, self.first_step(epoch), self.first_use(epoch))

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
        """The ids of the data sets that none of the first ``steps`` updates is of.

        What was used before the epoch gone on from is not known: those that could be are not among them.
        """
        names = [entrant.id for entrant in self._entrants if not self._was_open(entrant)]
        used = self.first_updates(names, steps)
        return tuple(name for name in names if name not in used)

    def _was_open(self, entrant: Entrant) -> bool:
        """Whether its window opened before the epoch gone on from."""
        window, begin = entrant.window, self._begin
        return window.epochs[0] < begin.epoch and window.steps[0] < begin.step

    def first_updates(self, names: Collection[str], steps: int) -> dict[str, int]:
        """The number (from 1) of the first update of each of the data sets ``names``, where it is at most ``steps``.

        Only epochs in which one of them may be met for the first time are drawn.
        """
        found: dict[str, int] = {}
        if steps <= self._begin.step:
            return found
        for stretch in self._stretches():
            wanted = {entrant.id for entrant in self._entrants if entrant.id in names and entrant.id not in found}
            if any(entrant.id in wanted and _may_meet(entrant, stretch) for entrant in self._entrants):
                met = _first_updates(self._planned(stretch.epoch, stretch.step, stretch.use))
                found |= {name: stretch.step + number for name, number in met.items() if name in wanted}
            if stretch.next_step >= steps or len(found) == len(names):
                break
        return {name: number for name, number in found.items() if number <= steps}

    def window(self, name: str) -> Window:
        """When the data set ``name`` is used."""
        return next(entrant.window for entrant in self._entrants if entrant.id == name)

    @property
    def counts_each_epoch(self) -> bool:
        """Whether each epoch is counted by itself, which takes its time where there are many."""
        return not self._all_alike

    def beginning(self, name: str, epoch: int, step: int) -> Calendar:
        """This calendar with another ``start_epoch`` and ``start_step`` of the data set ``name``."""

        def changed(number: int) -> Sequence[PlannedDataset]:
            found = self._in_epoch(number)
            return [replace(one, start_epoch=epoch, start_step=step) if one.id == name else one for one in found]

        other = copy(self)
        other._in_epoch, other._entrants, other._known = changed, _entrants(changed(0)), []  # noqa: SLF001
        return other

    def _first(self, fits: Callable[[Stretch], bool]) -> Stretch:
        return next(stretch for stretch in self._stretches() if fits(stretch))

    def _stretches(self) -> Iterator[Stretch]:
        """Every stretch from the first epoch on, or the one gone on from; the last one has no end."""
        yield from self._known
        while True:
            last = self._known[-1] if self._known else self._begin
            self._known.append(self._stretch(last.next_epoch, last.next_step, last.next_use))
            yield self._known[-1]

    def _stretch(self, epoch: int, step: int, use: int) -> Stretch:
        datasets = self._in_epoch(epoch)
        entrants = self._entrants if self._all_alike else _entrants(datasets)
        taking_part = [number for number, entrant in enumerate(entrants) if entrant.takes_part(epoch, step)]
        length = sum(entrants[number].updates for number in taking_part)
        if not length:
            raise nobody(entrants, epoch, step)
        whole = (next_step_boundary(entrants, step) - step) // length
        if not whole:
            plan = self._planned(epoch, step, use)
            return Stretch(epoch, step, len(plan), 1, use, plan.uses)
        alike = next_epoch_boundary(entrants, epoch) - epoch if self._all_alike else 1
        uses = sum(uses_in(datasets[number]) for number in taking_part)
        return Stretch(epoch, step, length, min(whole, alike), use, uses)

    def _planned(self, epoch: int, step: int, use: int) -> EpochPlan:
        return plan_epoch(self._in_epoch(epoch), self._seed, epoch, step, self._sampling, use)


def _entrants(datasets: Sequence[PlannedDataset]) -> tuple[Entrant, ...]:
    """Raises ConfigError for a data set whose epoch is too long to be held in memory."""
    entrants = tuple(dataset.entrant for dataset in datasets)
    for entrant in entrants:
        if entrant.updates > _MOST_UPDATES:
            reason = f'data set "{entrant.id}" has {entrant.updates:,} updates an epoch, more than {_MOST_UPDATES:,}'
            raise ConfigError(reason, key="repeats", cure="set fewer repeats")
    return entrants


def _may_meet(entrant: Entrant, stretch: Stretch) -> bool:
    """Whether a data set can have an update in the first epoch of ``stretch``."""
    (opens, closes), (first, last) = entrant.window.steps, entrant.window.epochs
    is_open = first <= stretch.epoch < last and opens < stretch.step + stretch.length and stretch.step < closes
    return is_open and entrant.probability > 0


def _first_updates(plan: EpochPlan) -> dict[str, int]:
    """The number (from 1) of the first update of each data set in an epoch."""
    numbers, places = np.unique(plan.whose, return_index=True)
    return {
        plan.lines[number].dataset: place + 1 for number, place in zip(numbers.tolist(), places.tolist(), strict=True)
    }
