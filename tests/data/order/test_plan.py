from __future__ import annotations

import time
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.errors import ConfigError
from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.data.order.plan import EpochPlan, PlannedDataset, batches, plan_epoch
from simpletuner.data.order.slices import micro_batches


def dataset(name: str, sizes: dict[str, int], repeats: int = 0, batch: int = 1, **options: Any) -> PlannedDataset:
    buckets = {key: tuple(SampleId(name, f"{key}/{number}") for number in range(count)) for key, count in sizes.items()}
    return PlannedDataset(name, buckets, repeats, batch, **options)


class Columns(Sequence[SampleId]):
    """Samples that are made when they are asked for, by a whole number of Python's own."""

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        assert type(index) is int
        assert 0 <= index < self.count
        return SampleId(self.name, str(index))

    def __iter__(self) -> Any:
        raise AssertionError("a plan walks over no column")


SIZES = st.dictionaries(st.sampled_from(["0.5", "1.0", "1.5"]), st.integers(1, 9), min_size=1)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "mixing": st.sampled_from(["bucket", "pad"]),
        "oversubscribe": st.booleans(),
        "probability": st.sampled_from([0.3, 2.0]),
    },
)
DATASETS = st.builds(
    lambda specs: [dataset(f"set{n}", *spec, **options) for n, (spec, options) in enumerate(specs)],
    st.lists(
        st.tuples(st.tuples(SIZES, st.integers(0, 4), st.integers(1, 7)), OPTIONS),
        min_size=1,
        max_size=3,
    ),
)
SAMPLINGS = st.sampled_from(["auto-weighting", "uniform"])


def samples_of(one: PlannedDataset) -> list[SampleId]:
    return [sample for samples in one.buckets.values() for sample in samples]


def counted(updates: Sequence[Update]) -> Counter[SampleId]:
    return Counter(use.sample for update in updates for use in update.uses)


@given(DATASETS, st.integers(0, 9), st.integers(0, 3), SAMPLINGS)
def test_each_sample_is_used_repeats_plus_one_times(
    datasets: list[PlannedDataset], seed: int, epoch: int, sampling: Any
) -> None:
    used = counted(plan_epoch(datasets, seed, epoch, sampling=sampling))
    for one in datasets:
        for sample in samples_of(one):
            assert used[sample] >= one.repeats + 1
            assert one.fills_buckets or used[sample] == one.repeats + 1
    assert len(used) == sum(len(samples_of(one)) for one in datasets)


@given(DATASETS, st.integers(0, 9))
def test_no_two_uses_of_a_sample_have_a_visit_in_common(datasets: list[PlannedDataset], seed: int) -> None:
    uses = [use for epoch in range(4) for update in plan_epoch(datasets, seed, epoch) for use in update.uses]
    assert len({(use.sample, use.visit) for use in uses}) == len(uses)


def test_visits_count_passes_and_uses_know_their_epoch() -> None:
    data = [dataset("set", {"1.0": 3, "2.0": 4}, repeats=2, batch=5)]
    for epoch in range(3):
        uses = {use for update in plan_epoch(data, 1, epoch) for use in update.uses}
        visits = range(3 * epoch, 3 * epoch + 3)
        assert uses == {Use(sample, visit, epoch) for sample in samples_of(data[0]) for visit in visits}


def test_a_picture_that_changes_its_bucket_never_has_a_visit_twice() -> None:
    layouts = [{"1.0": 2, "2.0": 7}, {"1.0": 8, "2.0": 1}, {"1.0": 1, "2.0": 8}]
    seen: Counter[tuple[str, int]] = Counter()
    for epoch, sizes in enumerate(layouts):
        paths = iter(str(number) for number in range(9))
        buckets = {key: tuple(SampleId("set", next(paths)) for _ in range(count)) for key, count in sizes.items()}
        plan = plan_epoch([PlannedDataset("set", buckets, 0, 6, oversubscribe=True)], 1, epoch)
        seen.update((use.sample.path, use.visit) for update in plan for use in update.uses)
    assert set(seen.values()) == {1}


@given(DATASETS, st.integers(0, 9), st.integers(0, 3))
def test_an_update_is_of_one_pool_and_only_a_pools_last_one_is_short(
    datasets: list[PlannedDataset], seed: int, epoch: int
) -> None:
    updates = plan_epoch(datasets, seed, epoch)
    assert len(updates) == sum(batches(one) for one in datasets if one.probability > 0)
    by_id = {one.id: one for one in datasets}
    ended = set()
    for update in updates:
        one = by_id[update.dataset]
        pool = set(samples_of(one) if one.mixing == "pad" else one.buckets[update.bucket])
        assert update.bucket in one.buckets or (one.mixing == "pad" and update.bucket == "mixed")
        assert {use.sample for use in update.uses} <= pool
        assert 1 <= len(update.uses) <= one.batch
        assert (update.dataset, update.bucket) not in ended
        if len(update.uses) < one.batch:
            ended.add((update.dataset, update.bucket))


@pytest.mark.parametrize("ranks", [1, 2, 3])
@given(st.data())
def test_a_run_that_is_cut_anywhere_uses_what_an_unbroken_one_does(ranks: int, data: st.DataObject) -> None:
    """Stopped after any update and gone on with from its epoch and the updates done in it, on any number of ranks."""
    datasets = data.draw(DATASETS)
    by_id = {one.id: one for one in datasets}
    lengths = [len(plan_epoch(datasets, 5, epoch)) for epoch in range(2)]
    stop = data.draw(st.integers(0, sum(lengths)))
    used: list[Counter[SampleId]] = [Counter(), Counter()]
    # One process is gone between the two halves: the second one knows (epoch, offset) alone.
    for begin, end in ((0, stop), (stop, sum(lengths))):
        plans = [plan_epoch(datasets, 5, epoch) for epoch in range(2)]
        for step in range(begin, end):
            epoch, offset = (0, step) if step < lengths[0] else (1, step - lengths[0])
            update = plans[epoch][offset]
            micro_batch = -(-by_id[update.dataset].batch // ranks)
            for rank in range(ranks):
                parts = micro_batches(update, micro_batch, ranks, rank)
                used[epoch].update(use.sample for part in parts for use in part)
    for one in datasets:
        if not one.fills_buckets:
            expected = Counter(dict.fromkeys(samples_of(one), one.repeats + 1))
            found = [Counter({sample: times[sample] for sample in samples_of(one)}) for times in used]
            assert found == [expected, expected]


@given(DATASETS, st.integers(0, 9))
def test_the_plan_does_not_depend_on_what_was_planned_before(datasets: list[PlannedDataset], seed: int) -> None:
    first = list(plan_epoch(datasets, seed, 2))
    plan_epoch(datasets, seed, 0)
    again = plan_epoch(datasets, seed, 2)
    assert again[-1] == first[-1]
    assert list(again) == first


def test_the_order_of_the_bucket_table_does_not_matter() -> None:
    one = dataset("set", {"0.5": 5, "1.0": 7}, repeats=1, batch=2)
    turned = PlannedDataset("set", dict(reversed(one.buckets.items())), 1, 2)
    assert list(plan_epoch([one], 1, 0)) == list(plan_epoch([turned], 1, 0))


def test_seed_and_epoch_change_the_order() -> None:
    data = [dataset("set", {"1.0": 30}, batch=2)]
    orders = {
        tuple(use.sample.path for update in plan_epoch(data, seed, epoch) for use in update.uses)
        for seed, epoch in [(1, 0), (1, 1), (2, 0)]
    }
    assert len(orders) == 3


def test_no_pass_begins_before_the_one_before_it_ends_and_each_has_its_own_order() -> None:
    data = [dataset("set", {"1.0": 20, "2.0": 30}, repeats=3, batch=7)]
    uses = [use for update in plan_epoch(data, 1, 0) if update.bucket == "1.0" for use in update.uses]
    passes = [uses[start : start + 20] for start in range(0, 80, 20)]
    assert [{use.visit for use in one} for one in passes] == [{0}, {1}, {2}, {3}]
    assert len({tuple(use.sample for use in one) for one in passes}) == 4


def test_data_sets_and_buckets_are_mixed() -> None:
    data = [dataset("a", {"1.0": 40, "2.0": 40}), dataset("b", {"1.0": 80})]
    updates = list(plan_epoch(data, 3, 0))
    assert 50 < sum(before.dataset != after.dataset for before, after in pairwise(updates)) < 110
    buckets = [update.bucket for update in updates if update.dataset == "a"]
    assert 25 < sum(before != after for before, after in pairwise(buckets)) < 55


def test_a_plan_is_a_sequence_that_cannot_be_changed() -> None:
    plan = plan_epoch([dataset("set", {"1.0": 9}, batch=2)], 1, 0)
    everything = list(plan)
    assert len(plan) == len(everything) == 5
    assert isinstance(plan[1:4], EpochPlan)
    assert list(plan[1:4]) == everything[1:4]
    assert (plan[-1], plan[::-2][0]) == (everything[-1], everything[-1])
    assert list(reversed(plan)) == everything[::-1]
    with pytest.raises(IndexError):
        plan[5]
    with pytest.raises(ValueError, match="read-only"):
        plan.whose[0] = 1


def test_oversubscription_fills_small_buckets_and_no_other() -> None:
    one = dataset("set", {"0.5": 3, "1.0": 8, "1.5": 10}, batch=8, oversubscribe=True)
    plan = plan_epoch([one], 1, 0)
    sizes = sorted((update.bucket, len(update.uses)) for update in plan)
    assert sizes == [("0.5", 8), ("1.0", 8), ("1.5", 2), ("1.5", 8)]
    used = Counter(counted(plan)[sample] for sample in one.buckets["0.5"])
    assert used == {3: 2, 2: 1}
    with_repeats = dataset("set", {"0.5": 3}, repeats=1, batch=8, oversubscribe=True)
    assert len(plan_epoch([with_repeats], 1, 0)[0].uses) == 6


def test_padding_mixes_all_buckets() -> None:
    sizes = {"0.5": 3, "1.0": 5, "1.5": 4}
    plan = plan_epoch([dataset("set", sizes, batch=4, mixing="pad")], 1, 0)
    assert [(update.bucket, len(update.uses)) for update in plan] == [("mixed", 4)] * 3
    assert len(counted(plan)) == 12
    assert any(len({use.sample.path.split("/")[0] for use in update.uses}) > 1 for update in plan)


def test_pools_count_from_both_ends() -> None:
    (pool,) = dataset("set", {"0.5": 2, "1.0": 3, "1.5": 0}, mixing="pad").pools.values()
    paths = ["0.5/0", "0.5/1", "1.0/0", "1.0/1", "1.0/2"]
    assert [pool[place].path for place in range(-5, 5)] == paths * 2
    assert [sample.path for sample in pool[1:3]] == paths[1:3]
    with pytest.raises(IndexError):
        pool[5]


def test_a_data_set_without_probability_is_never_drawn() -> None:
    data = [dataset("a", {"1.0": 4}), dataset("b", {"1.0": 9}, probability=0)]
    assert {update.dataset for update in plan_epoch(data, 1, 0)} == {"a"}
    assert [batches(one) for one in data] == [4, 9]
    with pytest.raises(ConfigError, match="b: probability 0"):
        plan_epoch(data[1:], 1, 0)


def test_the_first_step_decides_who_is_used() -> None:
    data = [dataset("a", {"1.0": 400}, end_step=300), dataset("b", {"1.0": 50}, start_step=300)]
    first = [update.dataset for update in plan_epoch(data, 1, 0)]
    assert first == ["a"] * 300 + ["b"] * 50
    later = [update.dataset for update in plan_epoch(data, 1, 1, first_step=350)]
    assert later == ["b"] * 50


def test_one_data_set_changes_no_other_ones_own_order() -> None:
    alone, both = dataset("a", {"1.0": 9, "2.0": 5}, batch=2), dataset("b", {"1.0": 6})
    own = [update for update in plan_epoch([alone, both], 1, 0) if update.dataset == "a"]
    assert own == list(plan_epoch([alone], 1, 0))


def test_the_documents_repeats_are_planned_at_once() -> None:
    data = [dataset("subject", {"1.0": 20}, repeats=1000)]
    start = time.perf_counter()
    updates = plan_epoch(data, 42, 0)
    assert time.perf_counter() - start < 1.0, "0.02 s on an idle machine"
    assert len(updates) == 20 * 1001


def test_a_million_pictures_are_planned_in_a_second_and_little_memory() -> None:
    buckets = {str(number / 20): Columns(f"a{number}", 20_000) for number in range(1, 41)}
    data = [PlannedDataset("a", buckets, 0, 1), PlannedDataset("b", {"1.0": Columns("b", 200_000)}, 0, 4)]
    tracemalloc.start()
    start = time.perf_counter()
    plan = plan_epoch(data, 42, 0)
    seconds = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(plan) == 850_000
    assert seconds < 1, "0.3 s on an idle machine"
    assert peak < 150e6, "40 MB"
    assert len({plan[index].uses[0].sample for index in range(0, 850_000, 1000)}) == 850
