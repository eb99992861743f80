from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simpletuner.core.samples import SampleId
from simpletuner.data.order.calendar import Calendar
from simpletuner.data.order.plan import PlannedDataset
from simpletuner.data.order.untrained import Span, untrained
from tests.data.order.test_calendar import dataset


def told(span: Span, *late: dict[str, Any]) -> list[str]:
    """What is told of data sets of 4 updates an epoch beside one of 2, line by line."""
    datasets = [dataset("first", 2), *(dataset(f"late{number}", 4, **keys) for number, keys in enumerate(late))]
    return [line.strip() for text in untrained(Calendar(datasets, 1), span).values() for line in text.splitlines()]


def test_a_run_that_trains_all_has_nothing_told() -> None:
    assert told(Span(6), {}, {"start_step": 3}) == []


@pytest.mark.parametrize(
    ("keys", "span", "lines"),
    [
        (
            {"start_step": 4},
            Span(4),
            [
                "start_step 4: it begins at step 5, the run ends at step 4",
                "to train it: set max_train_steps to 5 or more; or set start_step to 3",
            ],
        ),
        (
            {"start_step": 100},
            Span(4, in_epochs=True),
            [
                "start_step 100: it begins at step 101, the run ends at step 4",
                "to train it: set num_train_epochs to 51 or more; or set start_step to 3",
            ],
        ),
        (
            {"start_epoch": 50},
            Span(4),
            [
                "start_epoch 50: the run ends at step 4, in epoch 2 (the first has 2 steps)",
                "to train it: set max_train_steps to 100 or more; or set start_epoch to 2",
            ],
        ),
        (
            {"start_step": 4},
            Span(4, before=10),
            [
                "start_step 4: it begins at step 15, the run ends at step 14",
                "to train it: set max_train_steps to 15 or more; or set start_step to 3",
            ],
        ),
        (
            {"start_step": 100, "start_epoch": 50},
            Span(4),
            [
                "start_step 100: it begins at step 101, the run ends at step 4",
                "start_epoch 50: the run ends at step 4, in epoch 2 (the first has 2 steps)",
                "to train it: set max_train_steps to 101 or more; or set start_step to 3 and start_epoch to 2",
            ],
        ),
    ],
)
def test_the_arithmetic_and_the_cures(keys: dict[str, int], span: Span, lines: list[str]) -> None:
    assert told(span, keys) == ['data set "late0" is never trained in this run', *lines]


def test_one_whose_window_is_too_short_for_a_turn() -> None:
    found = untrained(Calendar([dataset("first", 1000), dataset("late", 1, start_step=2, end_step=4)], 1), Span(9))
    assert "it is used for steps 3 to 4, epochs 1 on; none of the run's 9 steps falls to it" in found["late"]
    assert found["late"].endswith("to train it: let it begin earlier or end later, or raise its repeats")


def test_a_gap_before_its_beginning_leaves_the_earlier_start() -> None:
    found = untrained(Calendar([dataset("first", 1, end_step=8), dataset("late", 9, start_step=9)], 1), Span(8))
    assert "max_train_steps" not in found["late"]
    assert "set start_step to 7" in found["late"]


def test_an_earlier_start_is_no_cure_once_it_is_past() -> None:
    whole = Calendar([dataset("first", 2), dataset("late", 4, start_step=9)], 1)
    assert "set start_step to" not in untrained(whole.going_on(2, 4), Span(4))["late"]
    assert "set max_train_steps to" in untrained(whole.going_on(2, 4), Span(4))["late"]
    assert "set start_step to 5" in untrained(whole.going_on(2, 4), Span(6))["late"]


def test_where_each_epoch_is_counted_the_search_ends() -> None:
    datasets = [dataset("first", 2), dataset("late", 2, start_step=10**12)]
    calendar = Calendar(datasets, 1, in_epoch=lambda _epoch: datasets)
    assert "to train it: set start_step to" in untrained(calendar, Span(4))["late"]


STARTS = st.fixed_dictionaries({"start_epoch": st.integers(1, 9), "start_step": st.integers(0, 60)})


@given(st.integers(1, 9), st.integers(1, 9), STARTS, st.integers(2, 40))
def test_every_cure_that_is_named_does(size: int, other: int, starts: dict[str, int], steps: int) -> None:
    def calendar(**keys: int) -> Calendar:
        samples = tuple(SampleId("late", str(number)) for number in range(other))
        late = PlannedDataset("late", {"1.0": samples}, **{"repeats": 0, "batch": 1, **starts, **keys})
        return Calendar([dataset("first", size), late], 1)

    found = untrained(calendar(), Span(steps))
    assume("late" in found)
    *_, cures = found["late"].splitlines()
    for cure in cures.removeprefix("  to train it: ").split("; or "):
        changed = dict(part.removeprefix("set ").removesuffix(" or more").split(" to ") for part in cure.split(" and "))
        whole = {key: int(value) for key, value in changed.items()}
        longer = whole.pop("max_train_steps", steps)
        unused = calendar(**whole).unused(longer)
        assert "late" not in unused
        assert set(unused) <= set(found)
