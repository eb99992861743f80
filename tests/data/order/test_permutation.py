from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.order.permutation import exponentials, permutation, words_of


def test_draws_are_these_for_good() -> None:
    assert permutation(words_of(42, "set"), 8).tolist() == [0, 2, 1, 3, 4, 5, 7, 6]
    assert [wait.hex() for wait in exponentials(words_of(42, "set"), 3).tolist()] == [
        "0x1.112a97cf86401p+2",
        "0x1.4efb6bf93eaccp+1",
        "0x1.cf2ef611980aap+1",
    ]


@given(st.integers(0, 50), st.integers(0, 5))
def test_an_order_has_every_number_once(count: int, seed: int) -> None:
    assert sorted(permutation(words_of(seed), count).tolist()) == list(range(count))


def test_orders_of_one_source_differ_and_follow_its_key() -> None:
    words, again = words_of(1, "a"), words_of(1, "a")
    first, second = permutation(words, 20).tolist(), permutation(words, 20).tolist()
    assert first != second
    assert [permutation(again, 20).tolist(), permutation(again, 20).tolist()] == [first, second]
    assert permutation(words_of(1, "b"), 20).tolist() != first


def test_every_order_is_equally_likely() -> None:
    words = words_of(3)
    found = np.unique([permutation(words, 3) for _ in range(6000)], axis=0, return_counts=True)[1]
    assert len(found) == 6
    assert found.min() > 850
    assert found.max() < 1150


def test_waiting_times_are_exponential() -> None:
    waits = exponentials(words_of(5), 200_000)
    assert waits.min() > 0
    assert waits.mean() == pytest.approx(1, abs=0.01)
    assert waits.std() == pytest.approx(1, abs=0.02)
    for time in (0.1, 1.0, 3.0):
        assert (waits > time).mean() == pytest.approx(math.exp(-time), abs=0.005)


def test_waiting_times_are_logarithms_of_the_words() -> None:
    uniform = [((word >> 12) + 0.5) * 2.0**-52 for word in words_of(7).random_raw(1000).tolist()]
    expected = [-math.log(number) for number in uniform]
    assert exponentials(words_of(7), 1000) == pytest.approx(np.array(expected), rel=1e-9, abs=1e-9)
