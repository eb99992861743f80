"""The order of an epoch: a pure function of the data, the seed, the epoch and the updates before it.

Each data set lines up its own updates; the race (:mod:`simpletuner.data.order.race`) decides whose turn it is. All of
it is kept as whole numbers in arrays, and an update is made when it is asked for: an epoch of a million pictures is
planned in less than a second.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.data.order.permutation import Indices, permutation, words_of
from simpletuner.data.order.race import Entrant, Sampling, Start, Window, interleave
from simpletuner.data.places.buckets import Buckets

MIXED = "mixed"
"""The bucket that the updates of a data set name when they mix sizes."""


@dataclass(frozen=True)
class PlannedDataset:
    """A data set as the plan sees it. ``batch`` is the global one: micro-batch x accumulation x ranks.

    ``micro_batch`` 0 stands for ``batch``. For the ``start_`` and ``end_`` fields see
    :class:`~simpletuner.data.order.race.Window`. ``oversubscribe`` fills a bucket that is smaller than ``batch``,
    unless ``repeats`` are set. ``mixing`` "pad" makes one pool of all buckets; ``merged`` says that small
    buckets were joined already.
    """

    id: str
    buckets: Buckets
    repeats: int
    batch: int
    micro_batch: int = 0
    probability: float = 1.0
    start_epoch: int = 1
    start_step: int = 0
    end_epoch: int | None = None
    end_step: int | None = None
    oversubscribe: bool = False
    mixing: Literal["bucket", "pad"] = "bucket"
    merged: bool = False

    def __post_init__(self) -> None:
        """The micro-batch is the batch where none is given."""
        object.__setattr__(self, "micro_batch", self.micro_batch or self.batch)

    @property
    def pools(self) -> dict[str, Sequence[SampleId]]:
        """What an update may take its samples from: the buckets by name, or all of them together."""
        filled = {key: self.buckets[key] for key in sorted(self.buckets) if len(self.buckets[key])}
        return {MIXED: _Chained(tuple(filled.values()))} if filled and self.mixing == "pad" else filled

    def uses(self, samples: int) -> int:
        """How often a pool of so many samples is used in an epoch, all samples together."""
        if self.fills_buckets:
            return max(samples, self.batch) if samples else 0
        return samples * (self.repeats + 1)

    @property
    def fills_buckets(self) -> bool:
        """Whether oversubscription is in force: repeats set by hand win over it (SPEC 10.3 item 45)."""
        return self.oversubscribe and not self.repeats

    @property
    def visits(self) -> int:
        """The visits of each sample that an epoch sets aside, at least as many as it makes.

        The same for all buckets, so that a picture which is in another bucket in another epoch never has a visit twice.
        """
        return self.batch if self.fills_buckets else self.repeats + 1

    @property
    def entrant(self) -> Entrant:
        """The data set as the race sees it."""
        window = Window(self.start_epoch, self.start_step, self.end_epoch, self.end_step)
        return Entrant(self.id, batches(self), self.probability, window)


def batches(dataset: PlannedDataset) -> int:
    """The updates of one data set in an epoch that it is used for as a whole."""
    return sum(-(-dataset.uses(len(samples)) // dataset.batch) for samples in dataset.pools.values())


def uses_in(dataset: PlannedDataset) -> int:
    """The uses of one data set in an epoch that it is used for as a whole."""
    return sum(dataset.uses(len(samples)) for samples in dataset.pools.values())


def plan_epoch(
    datasets: Sequence[PlannedDataset],
    seed: int,
    epoch: int,
    first_step: int = 0,
    sampling: Sampling = "auto-weighting",
    first_use: int = 0,
) -> EpochPlan:
    """The updates of ``epoch`` (from 0) in order, ``first_step`` of the run's updates and ``first_use`` of its uses
    being done before it.

    Each sample is used ``repeats + 1`` times. A pass over a bucket is a fresh permutation of it; passes are laid end
    to end and cut into updates, of which the last of a bucket may be short. The buckets of a data set come in random
    order, and so do the data sets, by ``sampling``. Raises ConfigError when no data set is used for the first update.
    """
    turns = interleave([dataset.entrant for dataset in datasets], Start(seed, epoch, first_step, sampling))
    taking_part = np.flatnonzero(np.bincount(turns)).tolist()
    lines = {number: _line_up(datasets[number], seed, epoch) for number in taking_part}
    nth = _ordinals(turns)
    sizes = np.empty(len(turns), dtype=np.int64)
    for number, line in lines.items():
        sizes[turns == number] = line.sizes(nth[turns == number])
    plan = EpochPlan(epoch, lines, turns, nth, first_use + np.cumsum(sizes) - sizes)
    for array in (plan.whose, plan.nth, plan.firsts):
        array.setflags(write=False)
    return plan


@dataclass(frozen=True, eq=False)
class EpochPlan(Sequence[Update]):
    """Updates in order, each made when it is asked for; a slice is a plan as well.

    Update ``i`` is number ``nth[i]`` of ``lines[whose[i]]``; its first use stands at ``firsts[i]``.
    """

    epoch: int
    lines: Mapping[int, _Line]
    whose: Indices
    nth: Indices
    firsts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.whose)

    @property
    def uses(self) -> int:
        """The uses of all its updates."""
        return sum(int(line.sizes(self.nth[self.whose == number]).sum()) for number, line in self.lines.items())

    @overload
    def __getitem__(self, index: int) -> Update: ...
    @overload
    def __getitem__(self, index: slice) -> EpochPlan: ...
    def __getitem__(self, index: int | slice) -> Update | EpochPlan:
        if isinstance(index, slice):
            return EpochPlan(self.epoch, self.lines, self.whose[index], self.nth[index], self.firsts[index])
        line = self.lines[int(self.whose[index])]
        return line.update(int(self.nth[index]), self.epoch, int(self.firsts[index]))


@dataclass(frozen=True, eq=False)
class _Pool:
    """The uses of a pool in an epoch: ``order`` holds numbers of ``samples``, pass after pass."""

    bucket: str
    samples: Sequence[SampleId]
    order: Indices

    def cut(self, start: int, end: int, visits: int, epoch: int, first: int) -> tuple[Use, ...]:
        chosen, size = enumerate(self.order[start:end].tolist(), start), len(self.samples)
        return tuple(
            Use(self.samples[number], epoch * visits + at // size, epoch, first + at - start) for at, number in chosen
        )


@dataclass(frozen=True, eq=False)
class _Line:
    """A data set's updates of an epoch: number ``n`` is number ``nth[n]`` of ``pools[whose[n]]``."""

    dataset: str
    batch: int
    visits: int
    pools: tuple[_Pool, ...]
    whose: NDArray[np.unsignedinteger]
    nth: Indices

    def update(self, number: int, epoch: int, first: int) -> Update:
        pool, start = self.pools[self.whose[number]], int(self.nth[number]) * self.batch
        return Update(self.dataset, pool.bucket, pool.cut(start, start + self.batch, self.visits, epoch, first))

    def sizes(self, numbers: Indices) -> NDArray[np.int64]:
        """The uses in each of the updates ``numbers``."""
        ends = np.array([len(pool.order) for pool in self.pools])[self.whose[numbers]]
        sizes: NDArray[np.int64] = np.minimum(ends - self.nth[numbers].astype(np.int64) * self.batch, self.batch)
        return sizes


def _line_up(dataset: PlannedDataset, seed: int, epoch: int) -> _Line:
    pools = tuple(
        _Pool(bucket, samples, _passes(len(samples), dataset.uses(len(samples)), (seed, epoch, dataset.id, bucket)))
        for bucket, samples in dataset.pools.items()
    )
    # A pool's updates come in the order of its passes: no picture comes back before all of its bucket were used.
    counts = [-(-len(pool.order) // dataset.batch) for pool in pools]
    numbers = np.repeat(np.arange(len(pools), dtype=np.min_scalar_type(len(pools))), counts)
    if len(pools) > 1:
        numbers = numbers[permutation(words_of(seed, epoch, dataset.id, "order of buckets"), len(numbers))]
    return _Line(dataset.id, dataset.batch, dataset.visits, pools, numbers, _ordinals(numbers))


def _passes(size: int, uses: int, key: tuple[object, ...]) -> Indices:
    words, order = words_of(*key, "order of samples"), np.empty(uses, dtype=np.int32)
    for start in range(0, uses, size):
        order[start : start + size] = permutation(words, size)[: uses - start]
    return order


def _ordinals(numbers: NDArray[np.integer]) -> Indices:
    """How many equal numbers come before each."""
    counts = np.bincount(numbers)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    ordinals = np.empty(len(numbers), dtype=np.int32)
    ordinals[np.argsort(numbers, kind="stable")] = np.arange(len(numbers)) - starts
    return ordinals


class _Chained(Sequence[SampleId]):
    """Several sequences as one, without a copy."""

    def __init__(self, parts: Sequence[Sequence[SampleId]]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, index: int) -> SampleId: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SampleId, ...]: ...
    def __getitem__(self, index: int | slice) -> SampleId | tuple[SampleId, ...]:
        if isinstance(index, slice):
            return tuple(self[one] for one in range(*index.indices(len(self))))
        place = range(len(self))[index]
        part = bisect_right(self._ends, place)
        return self._parts[part][place - self._ends[part]]
