from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from simpletuner.assemble.planning import shapes
from simpletuner.assemble.planning.shapes import _count, _Tally, find_shapes
from simpletuner.core.samples import SampleId
from simpletuner.data.order.calendar import Calendar
from simpletuner.data.order.plan import PlannedDataset
from tests.assemble.planning.conftest import World


def test_the_two_buckets_with_their_counts(world: World) -> None:
    wide, square = (found.shape for found in world.ready.found)
    assert (wide.size, wide.micro_batch, wide.pictures, wide.per_epoch) == ("128x64", 2, 2, 2)
    assert (square.size, square.micro_batch, square.pictures, square.per_epoch) == ("64x64", 2, 2, 5)
    assert wide.updates + square.updates == 10
    assert (wide.name, wide.references) == ('data set "cats", bucket 2.0 (128x64)', 0)


def test_updates_and_uses_are_those_that_the_run_will_make(world: World) -> None:
    data, length = world.ready.data, world.ready.length
    updates = [update for epoch in range(2) for update in data.calendar.plan(epoch)][: length.steps]
    made = Counter(update.bucket for update in updates)
    uses = Counter({bucket: sum(len(one.uses) for one in updates if one.bucket == bucket) for bucket in made})
    assert {found.shape.bucket: found.shape.updates for found in world.ready.found} == made
    assert {found.shape.bucket: found.shape.uses for found in world.ready.found} == uses


def test_the_longest_captions_are_in_the_update_that_shows_the_peak(world: World) -> None:
    square = world.ready.found[1]
    assert len(square.longest.uses) == len(square.update.uses)
    longest = square.longest.uses[0].sample
    assert longest.path.startswith("a_cat_that_sits")
    ids = world.ready.text.tokenize("a cat that sits on a red mat in the sun", 0)
    assert square.shape.longest_tokens == len(ids)


def test_accumulation_and_small_buckets(world: World) -> None:
    ready = world.ready
    longer = find_shapes(ready.data, replace(ready.length, steps=100))
    assert sum(found.shape.updates for found in longer) == 100
    assert {found.shape.per_epoch for found in longer} == {2, 5}


@pytest.mark.parametrize("planned", [1, 3, 50])
def test_epochs_that_are_not_planned_count_as_the_last_one(monkeypatch: pytest.MonkeyPatch, planned: int) -> None:
    buckets = {
        name: [SampleId("d", f"{name}{number}") for number in range(count)] for name, count in (("a", 5), ("b", 3))
    }
    calendar = Calendar([PlannedDataset("d", buckets, 0, 2)], seed=1)
    monkeypatch.setattr(shapes, "_PLANNED", planned)
    monkeypatch.setattr(shapes, "_plan", lambda data, epoch: data.plan(epoch))
    tally = _Tally()
    _count(calendar, 5 * 20 + 3, tally)  # type: ignore[arg-type]
    assert sum(tally.updates.values()) == 103
    assert 60 <= tally.updates["d", "a"] <= 63
    assert tally.uses["d", "a"] >= 100
