from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.samples import SampleId, Use
from simpletuner.data.plan import PlannedDataset, plan_epoch, updates_per_epoch


def dataset(name: str, sizes: dict[str, int], repeats: int, batch: int) -> PlannedDataset:
    buckets = {key: tuple(SampleId(name, f"{key}/{number}") for number in range(count)) for key, count in sizes.items()}
    return PlannedDataset(name, buckets, repeats, batch)


SIZES = st.dictionaries(st.sampled_from(["0.5", "1.0", "1.5"]), st.integers(1, 9), min_size=1)
DATASETS = st.builds(
    lambda specs: [dataset(f"set{number}", *spec) for number, spec in enumerate(specs)],
    st.lists(st.tuples(SIZES, st.integers(0, 4), st.integers(1, 7)), min_size=1, max_size=3),
)


@given(DATASETS, st.integers(0, 9), st.integers(0, 3))
def test_each_sample_is_used_repeats_plus_one_times_with_its_own_visits(
    datasets: list[PlannedDataset], seed: int, epoch: int
) -> None:
    used = Counter(use for update in plan_epoch(datasets, seed, epoch) for use in update.uses)
    expected = Counter(
        Use(sample, epoch * (one.repeats + 1) + turn)
        for one in datasets
        for samples in one.buckets.values()
        for sample in samples
        for turn in range(one.repeats + 1)
    )
    assert used == expected


@given(DATASETS, st.integers(0, 9), st.integers(0, 3))
def test_an_update_is_of_one_bucket_and_only_a_buckets_last_one_is_short(
    datasets: list[PlannedDataset], seed: int, epoch: int
) -> None:
    updates = plan_epoch(datasets, seed, epoch)
    assert len(updates) == updates_per_epoch(datasets)
    batch = {one.id: one.batch for one in datasets}
    short = Counter()
    for update in updates:
        assert {(use.sample.dataset, use.sample.path.split("/")[0]) for use in update.uses} == {
            (update.dataset, update.bucket)
        }
        assert 1 <= len(update.uses) <= batch[update.dataset]
        short[update.dataset, update.bucket] += len(update.uses) < batch[update.dataset]
    assert max(short.values()) <= 1


@given(DATASETS, st.integers(0, 9))
def test_the_plan_is_a_function_of_seed_and_epoch(datasets: list[PlannedDataset], seed: int) -> None:
    assert plan_epoch(datasets, seed, 2) == plan_epoch(datasets, seed, 2)


def test_seed_and_epoch_change_the_order() -> None:
    data = [dataset("set", {"1.0": 30}, 0, 2)]
    orders = {
        tuple(use.sample.path for update in plan_epoch(data, seed, epoch) for use in update.uses)
        for seed, epoch in [(1, 0), (1, 1), (2, 0)]
    }
    assert len(orders) == 3


def test_no_pass_begins_before_the_one_before_it_ends_and_each_has_its_own_order() -> None:
    data = [dataset("set", {"1.0": 20}, 3, 80)]
    (update,) = plan_epoch(data, 1, 0)
    passes = [update.uses[start : start + 20] for start in range(0, 80, 20)]
    assert [{use.visit for use in one} for one in passes] == [{0}, {1}, {2}, {3}]
    assert len({tuple(use.sample for use in one) for one in passes}) == 4


def test_data_sets_and_buckets_are_mixed() -> None:
    data = [dataset("a", {"1.0": 40}, 0, 1), dataset("b", {"1.0": 40}, 0, 1)]
    order = [update.dataset for update in plan_epoch(data, 3, 0)]
    changes = sum(before != after for before, after in pairwise(order))
    assert 20 < changes < 60


def test_the_documents_repeats_are_planned_at_once() -> None:
    data = [dataset("subject", {"1.0": 20}, 1000, 1)]
    start = time.perf_counter()
    updates = plan_epoch(data, 42, 0)
    assert time.perf_counter() - start < 1.0, "0.1 s on an idle machine"
    assert len(updates) == 20 * 1001
