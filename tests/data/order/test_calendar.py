from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.errors import ConfigError
from simpletuner.core.samples import SampleId
from simpletuner.data.order.calendar import Calendar
from simpletuner.data.order.plan import PlannedDataset


def dataset(name: str, size: int, **options: Any) -> PlannedDataset:
    samples = tuple(SampleId(name, str(number)) for number in range(size))
    return PlannedDataset(name, {"1.0": samples}, **{"repeats": 0, "batch": 1, **options})


WINDOWS = st.fixed_dictionaries(
    {},
    optional={
        "start_epoch": st.integers(0, 4),
        "start_step": st.integers(0, 40),
        "end_epoch": st.integers(1, 6),
        "end_step": st.integers(1, 60),
        "probability": st.sampled_from([0.0, 0.5, 2.0]),
    },
)
# The first one is always there, so that the run can go on.
DATASETS = st.builds(
    lambda size, specs: [dataset("a", size)] + [dataset(f"b{n}", *spec[:1], **spec[1]) for n, spec in enumerate(specs)],
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(1, 9), WINDOWS), max_size=3),
)


def test_an_epoch_that_no_memory_holds_is_refused() -> None:
    assert Calendar([dataset("a", 5, repeats=19_999_999)], 1)
    with pytest.raises(ConfigError, match=r'data set "b" has 5,000,000,000,005 updates an epoch, more than') as error:
        Calendar([dataset("a", 5), dataset("b", 5, repeats=10**12)], 1)
    assert (error.value.key, error.value.cure) == ("repeats", "set fewer repeats")


@given(DATASETS, st.sampled_from(["auto-weighting", "uniform"]))
def test_counting_agrees_with_planning(datasets: list[PlannedDataset], sampling: Any) -> None:
    calendar, step = Calendar(datasets, 1, sampling), 0
    for epoch in range(8):
        assert calendar.first_step(epoch) == calendar.steps_for(epoch) == step
        plan = calendar.plan(epoch)
        assert calendar.length(epoch) == len(plan) > 0
        assert calendar.epochs_for(step + 1) == calendar.epochs_for(step + len(plan)) == epoch + 1
        step += len(plan)


@given(DATASETS, st.integers(1, 4), st.integers(0, 2))
def test_every_use_knows_its_place_in_the_whole_run(datasets: list[PlannedDataset], batch: int, repeats: int) -> None:
    batches = [replace(one, batch=batch, micro_batch=batch, repeats=repeats) for one in datasets]
    calendar = Calendar(batches, 1)
    plans = [calendar.plan(epoch) for epoch in range(6)]
    uses = [use for plan in plans for update in plan for use in update.uses]
    assert [use.position for use in uses] == list(range(len(uses)))
    assert [calendar.first_use(epoch) for epoch in range(6)] == [plan[0].uses[0].position for plan in plans]
    resumed = Calendar(batches, 1).plan(5)[len(plans[5]) // 2 :]
    assert [use.position for update in resumed for use in update.uses] == [
        use.position for update in plans[5][len(plans[5]) // 2 :] for use in update.uses
    ]
    assert [plan.uses for plan in plans] == [sum(len(update.uses) for update in plan) for plan in plans]


@given(DATASETS, st.permutations(range(8)))
def test_the_order_of_questions_does_not_matter(datasets: list[PlannedDataset], epochs: list[int]) -> None:
    asked = Calendar(datasets, 1)
    lengths = {epoch: asked.length(epoch) for epoch in epochs}
    assert lengths == {epoch: Calendar(datasets, 1).length(epoch) for epoch in range(8)}


@given(DATASETS)
def test_a_data_set_is_used_inside_its_window_only(datasets: list[PlannedDataset]) -> None:
    calendar = Calendar(datasets, 3)
    windows = {one.id: one.entrant for one in datasets}
    for epoch in range(8):
        for step, update in enumerate(calendar.plan(epoch), calendar.first_step(epoch)):
            assert windows[update.dataset].takes_part(epoch, step)


def test_the_curriculum_of_the_documentation() -> None:
    calendar = Calendar([dataset("a", 128, end_step=300), dataset("b", 70, start_step=300)], 1)
    used = [update.dataset for epoch in range(calendar.epochs_for(400)) for update in calendar.plan(epoch)][:400]
    assert used == ["a"] * 300 + ["b"] * 100
    # The third epoch has the last 44 steps of one and all of the other.
    assert [calendar.length(epoch) for epoch in range(4)] == [128, 128, 44 + 70, 70]


def test_a_data_set_that_begins_with_an_epoch_waits_for_it() -> None:
    calendar = Calendar([dataset("a", 10, end_epoch=2), dataset("b", 5, start_epoch=3)], 1)
    assert [calendar.length(epoch) for epoch in range(4)] == [10, 10, 5, 5]


def test_an_epoch_that_ends_as_another_data_set_begins_is_over() -> None:
    calendar = Calendar([dataset("a", 10), dataset("b", 5, start_step=20)], 1)
    assert [calendar.length(epoch) for epoch in range(4)] == [10, 10, 15, 15]
    assert [len(calendar.plan(epoch)) for epoch in range(4)] == [10, 10, 15, 15]


def test_a_data_set_that_ends_in_the_middle_ends_an_epoch_that_no_other_is_in() -> None:
    calendar = Calendar([dataset("a", 10, end_step=14), dataset("b", 5, start_epoch=3)], 1)
    assert [calendar.length(epoch) for epoch in range(4)] == [10, 4, 5, 5]


@pytest.mark.parametrize(
    ("one", "other", "step"),
    [
        ({"end_epoch": 1}, {"start_epoch": 3}, 11),
        ({"end_step": 8}, {"start_step": 12}, 9),
        ({"end_epoch": 2}, {"start_step": 25}, 21),
        ({}, {}, None),
    ],
)
def test_a_gap_is_an_error_only_for_a_run_that_reaches_it(
    one: dict[str, int], other: dict[str, int], step: int | None
) -> None:
    calendar = Calendar([dataset("a", 10, **one), dataset("b", 5, **other)], 1)
    if step is None:
        assert calendar.epochs_for(1000) == 67
        return
    reached = calendar.epochs_for(step - 1)
    assert calendar.steps_for(reached) == step - 1
    for ask in (calendar.epochs_for, calendar.steps_for, calendar.length, calendar.plan):
        with pytest.raises(ConfigError, match=f"no data set is used for step {step} "):
            ask(step)


def test_a_long_run_is_counted_at_once() -> None:
    datasets = [dataset("a", 3), dataset("b", 2, start_step=10**9), dataset("c", 1, start_epoch=10**8, end_epoch=10**9)]
    start = time.perf_counter()
    calendar = Calendar(datasets, 1)
    assert calendar.steps_for(10**8) == 3 * 10**8 + 1
    assert calendar.length(10**10) == 5
    assert calendar.epochs_for(3 * 10**8 + 4) == 10**8 + 1
    assert calendar.epochs_for(0) == 0
    assert time.perf_counter() - start < 0.5


def test_data_sets_whose_buckets_differ_between_epochs_are_counted_by_epoch() -> None:
    def in_epoch(epoch: int) -> list[PlannedDataset]:
        return [dataset("a", 10 + epoch, batch=4)]

    calendar = Calendar(in_epoch(0), 1, in_epoch=in_epoch)
    assert [calendar.length(epoch) for epoch in range(4)] == [3, 3, 3, 4]
    assert [len(calendar.plan(epoch)) for epoch in range(4)] == [3, 3, 3, 4]
    assert calendar.first_step(4) == 13


def test_data_sets_that_begin_after_the_run_are_named() -> None:
    datasets = [dataset("a", 10), dataset("b", 1, start_step=30), dataset("c", 1, start_epoch=4)]
    calendar = Calendar(datasets, 1)
    assert calendar.unused(30) == ("b", "c")
    assert calendar.unused(42) == ()
    assert Calendar(datasets, 1).first_updates(("a", "c"), 42) == calendar.first_updates(("c", "a"), 42)
    assert calendar.first_updates(("a",), 0) == {}


@given(DATASETS, st.integers(0, 90))
def test_who_is_unused_is_what_the_plan_says(datasets: list[PlannedDataset], steps: int) -> None:
    calendar = Calendar(datasets, 1)
    drawn = [update.dataset for epoch in range(calendar.epochs_for(steps)) for update in calendar.plan(epoch)][:steps]
    names = [one.id for one in datasets]
    assert calendar.unused(steps) == tuple(name for name in names if name not in drawn)
    firsts = {name: drawn.index(name) + 1 for name in names if name in drawn}
    assert calendar.first_updates(names, steps) == firsts


def test_a_run_that_goes_on_does_not_call_unused_what_may_have_been_used_before() -> None:
    datasets = [dataset("a", 10), dataset("b", 5, end_step=9), dataset("c", 5, start_step=20)]
    later = Calendar(datasets, 1).going_on(1, 12)
    assert later.unused(20) == ("c",)
    assert later.unused(12) == ("c",)
    assert later.unused(60) == ()


def test_another_beginning_is_another_calendar() -> None:
    calendar = Calendar([dataset("a", 10), dataset("b", 5, start_step=20)], 1)
    other = calendar.beginning("b", 1, 0)
    assert [other.length(epoch) for epoch in range(2)] == [15, 15]
    assert other.window("b").steps[0] == 0
    assert [calendar.length(epoch) for epoch in range(3)] == [10, 10, 15]


def test_a_hundred_million_steps_are_searched_in_no_time() -> None:
    began = time.perf_counter()
    calendar = Calendar(
        [dataset("a", 3), dataset("b", 2, start_step=3 * 10**8), dataset("c", 2, start_epoch=10**12)], 1
    )
    assert calendar.unused(10**8) == ("b", "c")
    assert calendar.first_updates(("b",), 10**10).keys() == {"b"}
    assert time.perf_counter() - began < 5


@given(DATASETS, st.integers(0, 6))
def test_a_run_that_goes_on_in_the_same_data_has_the_same_order(datasets: list[PlannedDataset], epoch: int) -> None:
    whole = Calendar(datasets, 1)
    later = Calendar(datasets, 1).going_on(epoch, whole.first_step(epoch))
    for one in range(epoch, 8):
        assert later.first_step(one) == later.steps_for(one) == whole.first_step(one)
        assert later.first_use(one) == whole.first_use(one)
        assert list(later.plan(one)) == list(whole.plan(one))
        assert later.epochs_for(whole.first_step(one) + 1) == one + 1


@given(DATASETS, st.integers(0, 6), st.integers(0, 70))
def test_a_run_that_goes_on_in_other_data_counts_from_where_it_is(
    datasets: list[PlannedDataset], epoch: int, step: int
) -> None:
    later, done = Calendar(datasets, 1).going_on(epoch, step), step
    for one in range(epoch, 8):
        assert later.first_step(one) == later.steps_for(one) == done
        plan = later.plan(one)
        assert later.length(one) == len(plan) > 0
        done += len(plan)
    assert [later.steps_for(one) for one in range(epoch)] == [step] * epoch


def test_windows_in_steps_are_those_of_the_run_that_goes_on() -> None:
    datasets = [dataset("a", 3, end_step=10), dataset("b", 3, start_step=10)]
    later = Calendar(datasets, 1).going_on(1, 9)
    assert [update.dataset for update in later.plan(1)] == ["a", "b", "b", "b"]
