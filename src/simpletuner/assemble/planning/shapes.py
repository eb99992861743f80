"""Every kind of update that a run makes, and how often: from its plan, without drawing one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.planning.figures import Shape
from simpletuner.assemble.training.length import Length
from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.data.captions.lengths import estimate_tokens
from simpletuner.data.order.plan import MIXED, EpochPlan
from simpletuner.data.places.arrange import Arrangement

Key = tuple[str, str]
"""A data set and one of its buckets."""

# Epochs beyond these are taken to be as the last of them: a year of training is planned in seconds.
_PLANNED = 50


@dataclass
class _Tally:
    """Updates and uses by key, and the first whole update of each."""

    updates: Counter[Key] = field(default_factory=Counter)
    uses: Counter[Key] = field(default_factory=Counter)
    first: dict[Key, Update] = field(default_factory=dict)

    def add(self, plan: EpochPlan, epochs: int = 1) -> None:
        for key, places, uses in _by_bucket(plan):
            self.updates[key] += len(places) * epochs
            self.uses[key] += uses * epochs
            if key not in self.first:
                self.first[key] = plan[int(places[0])]


@dataclass(frozen=True)
class Found:
    """A shape, an ``update`` of it as the run makes it, and one whose prompts are the ``longest`` of its bucket."""

    shape: Shape
    update: Update
    longest: Update


def find_shapes(data: TrainingData, length: Length) -> tuple[Found, ...]:
    """The shapes of a run, the largest first: by tokens at once, as far as pictures decide them."""
    tally, first = _Tally(), _Tally()
    first.add(_plan(data, 0))
    _count(data, length.steps, tally)
    datasets = {made.config.id: made for made in data.datasets}
    found = [_found(datasets[key[0]], key, tally, first.updates[key], data) for key in tally.first]
    return tuple(sorted(found, key=lambda one: -_weight(one)))


def _plan(data: TrainingData, epoch: int) -> EpochPlan:
    return data.calendar.plan(epoch)


def _count(data: TrainingData, steps: int, tally: _Tally) -> None:
    """Count the updates of the run, epoch by epoch; after some epochs the rest is as the last one."""
    left, epoch = steps, 0
    while left > 0:
        plan = _plan(data, epoch)
        alike = left // len(plan) if epoch >= _PLANNED else 0
        if alike > 1:
            tally.add(plan, alike)
            left -= alike * len(plan)
            continue
        tally.add(plan[:left])
        left, epoch = left - len(plan), epoch + 1


def _by_bucket(plan: EpochPlan) -> Iterator[tuple[Key, Sequence[int], int]]:
    """The places of each bucket's updates in a plan, and how many uses they have together."""
    for number, line in plan.lines.items():
        mine = np.flatnonzero(plan.whose == number)
        pools, sizes = line.whose[plan.nth[mine]], line.sizes(plan.nth[mine])
        for pool in np.unique(pools).tolist():
            chosen = pools == pool
            # The largest first: the last update of a bucket may be short.
            places = mine[chosen][np.argsort(-sizes[chosen], kind="stable")]
            yield (line.dataset, line.pools[pool].bucket), places.tolist(), int(sizes[chosen].sum())


def _found(made: Prepared, key: Key, tally: _Tally, per_epoch: int, data: TrainingData) -> Found:
    update = tally.first[key]
    slices = data.slices(update)
    micro_batch = max(len(uses) for uses in slices)
    places = made.arrangement(update.uses[0].epoch)
    rows = _longest(places, key[1], micro_batch)
    shape = Shape(
        dataset=key[0],
        bucket=key[1],
        size=_size(places, key[1]),
        micro_batch=micro_batch,
        pictures=len(update.uses),
        per_epoch=per_epoch,
        updates=tally.updates[key],
        uses=tally.uses[key],
        longest_tokens=max(_tokens(made, row, data) for row in rows),
        references=made.pictures,
    )
    return Found(shape, update, _update_of(made, update, rows))


def _size(places: Arrangement, bucket: str) -> str:
    sizes: Mapping[str, object] = dict(zip(places.keys, places.targets, strict=True))
    return str(sizes[bucket]) if bucket in sizes else "mixed"


def _longest(places: Arrangement, bucket: str, count: int) -> list[int]:
    """The rows of a bucket with the longest captions, as far as letters tell, at most ``count``."""
    table = places.table
    rows = range(len(table)) if bucket == MIXED else np.flatnonzero(places.codes == places.keys.index(bucket)).tolist()
    lengths = {row: max(estimate_tokens(table.captions[row]), default=0) for row in rows}
    return sorted(lengths, key=lambda row: (-lengths[row], row))[:count]


def _tokens(made: Prepared, row: int, data: TrainingData) -> int:
    captions = made.surveyed.scanned.table.captions[row]
    return max((len(data.tokens(caption, made.pictures)) for caption in captions), default=0)


def _update_of(made: Prepared, update: Update, rows: Sequence[int]) -> Update:
    """``update`` with the pictures of ``rows``, again and again."""
    table = made.surveyed.scanned.table
    samples: list[SampleId] = [table.sample(row) for row in rows]
    epoch = update.uses[0].epoch
    uses = (Use(samples[place % len(samples)], place // len(samples), epoch) for place in range(len(update.uses)))
    return replace(update, uses=tuple(uses))


def _weight(found: Found) -> int:
    """Tokens at once, roughly: four latent cells, 256 pixels, are one."""
    shape = found.shape
    edges = shape.size.split("x")
    pixels = int(edges[0]) * int(edges[1]) if len(edges) > 1 else 0
    return shape.micro_batch * (pixels // 256 * (1 + shape.references) + shape.longest_tokens)
