"""The order of an epoch: a pure function of the data, the seed and the epoch's number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simpletuner.core.keyed import keyed_random
from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.data.buckets import Buckets


@dataclass(frozen=True)
class PlannedDataset:
    """A data set as the plan sees it. ``batch`` is the global one: micro-batch x accumulation x ranks."""

    id: str
    buckets: Buckets
    repeats: int
    batch: int


def plan_epoch(datasets: Sequence[PlannedDataset], seed: int, epoch: int) -> tuple[Update, ...]:
    """The updates of ``epoch`` (from 0) in order.

    Each sample is used ``repeats + 1`` times. A pass over a bucket is a fresh permutation of it; passes are laid end
    to end and cut into updates, of which the last of a bucket may be short. The updates of all data sets are shuffled
    together.
    """
    updates = [update for dataset in datasets for update in _updates(dataset, seed, epoch)]
    keyed_random(seed, epoch, "order of updates").shuffle(updates)
    return tuple(updates)


def updates_per_epoch(datasets: Sequence[PlannedDataset]) -> int:
    """How many updates :func:`plan_epoch` gives, counted without planning."""
    return sum(batches(dataset) for dataset in datasets)


def batches(dataset: PlannedDataset) -> int:
    """The updates of one data set in an epoch."""
    return sum(-(-len(samples) * (dataset.repeats + 1) // dataset.batch) for samples in dataset.buckets.values())


def _updates(dataset: PlannedDataset, seed: int, epoch: int) -> Iterator[Update]:
    for bucket, samples in dataset.buckets.items():
        uses = _uses(dataset, bucket, samples, (seed, epoch))
        for start in range(0, len(uses), dataset.batch):
            yield Update(dataset.id, bucket, tuple(uses[start : start + dataset.batch]))


def _uses(dataset: PlannedDataset, bucket: str, samples: tuple[SampleId, ...], when: tuple[int, int]) -> list[Use]:
    seed, epoch = when
    generator = keyed_random(seed, epoch, dataset.id, bucket, "order of samples")
    uses: list[Use] = []
    for turn in range(dataset.repeats + 1):
        visit = epoch * (dataset.repeats + 1) + turn
        uses.extend(Use(sample, visit) for sample in generator.sample(samples, len(samples)))
    return uses
