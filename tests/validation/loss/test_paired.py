"""Means with their errors, and the paired difference."""

from __future__ import annotations

import statistics

import pytest

from simpletuner.validation.loss.paired import Mean, difference, mean_of

BEFORE = (1.00, 2.00, 3.00, 4.00)
AFTER = (0.91, 1.89, 2.92, 3.88)


def test_the_error_is_the_deviation_over_the_root_of_the_count() -> None:
    found = mean_of(BEFORE)
    assert found.value == 2.5
    assert found.error == pytest.approx(statistics.stdev(BEFORE) / 2)


def test_pairs_are_surer_than_means() -> None:
    found = difference(BEFORE, AFTER)
    assert found.value == pytest.approx(0.1)
    alone = mean_of(AFTER).error
    assert found.error is not None
    assert alone is not None
    assert found.error < alone / 20
    assert found.exceeds(2)
    assert not difference(AFTER, BEFORE).exceeds(0)


def test_one_picture_says_nothing_of_its_error() -> None:
    assert mean_of([3.0]) == Mean(3.0, None)
    assert not mean_of([3.0]).exceeds(0)


def test_other_pictures_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="zip"):
        difference(BEFORE, AFTER[:3])
