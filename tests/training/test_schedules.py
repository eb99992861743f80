"""The learning rate, against the worked examples and against what a user may rely on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.training.schedules import Schedule, rate_at

SHAPES = ("constant_with_warmup", "linear", "polynomial", "cosine", "cosine_with_restarts", "sine")


def test_the_documents_own_schedule() -> None:
    schedule = Schedule("constant_with_warmup", peak=4e-5, end=0, warmup=100, total=10_000)
    assert rate_at(schedule, 50) == pytest.approx(2e-5)
    assert rate_at(schedule, 100) == rate_at(schedule, 9_999) == 4e-5


def test_polynomial_of_the_example_configuration() -> None:
    schedule = Schedule("polynomial", peak=1e-4, end=4e-7, warmup=100, total=10_000, power=0.8)
    assert rate_at(schedule, 5050) == pytest.approx(5.76e-5, rel=1e-3)
    assert rate_at(schedule, 10_000) == rate_at(schedule, 20_000) == pytest.approx(4e-7)


@pytest.mark.parametrize("name", SHAPES)
@given(step=st.integers(1, 2000), warmup=st.integers(0, 300))
def test_every_shape_stays_between_its_ends(name: str, step: int, warmup: int) -> None:
    schedule = Schedule(name, peak=1e-3, end=1e-5, warmup=warmup, total=1000, cycles=2)
    assert 0 <= rate_at(schedule, step) <= 1e-3 + 1e-12


@pytest.mark.parametrize("name", SHAPES)
def test_the_peak_follows_the_warmup_and_the_end_the_last_step(name: str) -> None:
    schedule = Schedule(name, peak=1e-3, end=1e-5, warmup=50, total=1000)
    expected = {"constant_with_warmup": 1e-3, "linear": 0.0}.get(name, 1e-5)
    assert rate_at(schedule, 50) == pytest.approx(1e-3)
    assert rate_at(schedule, 1000) == pytest.approx(expected)


def test_constant_does_not_warm_up() -> None:
    assert rate_at(Schedule("constant", peak=2e-4, end=0, warmup=10, total=100), 1) == 2e-4
