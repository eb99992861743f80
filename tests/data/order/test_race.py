from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.errors import ConfigError
from simpletuner.data.order.race import (
    NEVER,
    Entrant,
    Sampling,
    Start,
    Window,
    interleave,
    next_epoch_boundary,
    next_step_boundary,
)


def entrant(name: str, updates: int, probability: float = 1.0, **window: Any) -> Entrant:
    return Entrant(name, updates, probability, Window(**window))


def order(entrants: list[Entrant], sampling: Sampling = "auto-weighting", **start: int) -> str:
    won = interleave(entrants, Start(start.get("seed", 1), start.get("epoch", 0), start.get("step", 0), sampling))
    return "".join(entrants[number].id for number in won)


@pytest.mark.parametrize(
    ("window", "step", "expected"),
    [
        (Window(), 1, True),
        (Window(start_step=1), 1, True),
        (Window(start_step=300), 300, False),
        (Window(start_step=300), 301, True),
        (Window(end_step=300), 300, True),
        (Window(end_step=300), 301, False),
    ],
)
def test_a_window_opens_after_its_start_and_closes_after_its_end(window: Window, step: int, expected: bool) -> None:
    assert window.is_open(0, step - 1) is expected


def test_a_window_has_first_and_last_epochs() -> None:
    window = Window(start_epoch=2, end_epoch=3)
    assert [window.is_open(epoch, 0) for epoch in range(4)] == [False, True, True, False]
    assert [Window(start_epoch=start).is_open(0, 0) for start in (0, 1)] == [True, True]


@pytest.mark.parametrize("sampling", ["auto-weighting", "uniform"])
@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from([0.0, 0.2, 1.0, 3.0])), min_size=1, max_size=4),
    st.integers(0, 5),
)
def test_everyone_who_can_be_drawn_uses_all_updates(
    sampling: Sampling, specs: list[tuple[int, float]], seed: int
) -> None:
    entrants = [entrant(name, *spec) for name, spec in zip("abcd", specs, strict=False)]
    expected = Counter({one.id: one.updates for one in entrants if one.probability > 0 and one.updates})
    if expected:
        assert Counter(order(entrants, sampling, seed=seed)) == expected
    else:
        with pytest.raises(ConfigError, match="no data set is used for step 1 "):
            order(entrants, sampling, seed=seed)


def test_uniform_draws_by_probability_whatever_the_sizes() -> None:
    won = order([entrant("a", 900_000, 0.3), entrant("b", 20_000, 0.7)], "uniform")
    while_both_last = won[: won.rindex("b")]
    assert while_both_last.count("b") / len(while_both_last) == pytest.approx(0.7, abs=0.01)
    tenths = np.array_split(np.array(list(while_both_last)), 10)
    assert all(np.mean(part == "b") == pytest.approx(0.7, abs=0.04) for part in tenths)


def test_auto_weighting_with_equal_probabilities_is_a_fair_shuffle() -> None:
    won = order([entrant("a", 9000), entrant("b", 1000)])
    parts = [won[start : start + 1000].count("b") for start in range(0, 10_000, 1000)]
    assert min(parts) > 70
    assert max(parts) < 130, "a data set is spread over the whole epoch"
    assert won.rindex("b") > 9900


def test_auto_weighting_draws_by_probability_times_updates_left() -> None:
    first = Counter(order([entrant("a", 30, 2.0), entrant("b", 20, 1.0)], seed=seed)[0] for seed in range(2000))
    assert first["a"] / 2000 == pytest.approx(60 / 80, abs=0.03)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    entrants = [entrant("a", 20), entrant("b", 20)]
    assert order(entrants) == order(entrants)
    assert len({order(entrants), order(entrants, seed=2), order(entrants, epoch=1)}) == 3
    assert 10 < sum(before != after for before, after in pairwise(order(entrants))) < 30


def test_one_hands_over_to_the_next() -> None:
    entrants = [entrant("a", 1000, end_step=300), entrant("b", 500, start_step=300)]
    assert order(entrants) == "a" * 300 + "b" * 500


def test_who_joins_in_the_middle_brings_everything_and_who_leaves_loses_the_rest() -> None:
    entrants = [entrant("a", 100), entrant("b", 100, end_step=1050), entrant("c", 40, start_step=1080)]
    won = order(entrants, step=1000)
    assert set(won[:50]) == {"a", "b"}
    assert set(won[50:80]) == {"a"}
    assert set(won[80:]) == {"a", "c"}
    assert (won.count("a"), won.count("c")) == (100, 40)


def test_an_epoch_ends_before_those_who_begin_later() -> None:
    assert order([entrant("a", 10), entrant("b", 10, start_step=10)]) == "a" * 10
    assert Counter(order([entrant("a", 10), entrant("b", 10, start_step=10)], step=10)) == {"a": 10, "b": 10}


def test_a_gap_is_told_with_its_step_and_everyones_window() -> None:
    entrants = [entrant("a", 10, end_step=300), entrant("b", 10, start_step=400, end_epoch=9), entrant("c", 5, 0.0)]
    with pytest.raises(ConfigError) as caught:
        order(entrants, step=300, epoch=30)
    told = str(caught.value)
    assert "no data set is used for step 301 of the run (epoch 31)" in told
    assert "a: steps 1 to 300, epochs 1 on; b: steps 401 on, epochs 1 to 9; c: probability 0" in told
    assert "max_train_steps 300" in told


def test_boundaries_are_told_in_order() -> None:
    entrants = [entrant("a", 1, end_step=30, end_epoch=4), entrant("b", 1, start_step=20, start_epoch=3)]
    assert [next_step_boundary(entrants, step) for step in (0, 19, 20, 30)] == [20, 20, 30, NEVER]
    assert [next_epoch_boundary(entrants, epoch) for epoch in (0, 2, 3, 4)] == [2, 4, 4, NEVER]
