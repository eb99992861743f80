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


def along(name: str, **changes: float) -> list[float]:
    """The rate at the quarters of a run of 100 updates after a warm-up of 20, peak 1, end 0.2."""
    options = {"peak": 1.0, "end": 0.2, "warmup": 20, "total": 120, **changes}
    schedule = Schedule(name, **options)  # type: ignore[arg-type]
    return [rate_at(schedule, step) for step in (10, 20, 45, 70, 95, 120, 200)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant_with_warmup", [0.5, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 0.75, 0.5, 0.25, 0, 0]),
        ("polynomial", [0.5, 1, 0.65, 0.4, 0.25, 0.2, 0.2]),
        ("cosine", [0.5, 1, 0.6 + 0.4 * 0.5**0.5, 0.6, 0.6 - 0.4 * 0.5**0.5, 0.2, 0.2]),
        ("sine", [0.5, 1, 0.6 + 0.4 * 0.5**0.5, 0.6, 0.6 - 0.4 * 0.5**0.5, 0.2, 0.2]),
        ("cosine_with_restarts", [0.5, 1, 0.6 + 0.4 * 0.5**0.5, 0.6, 0.6 - 0.4 * 0.5**0.5, 0.2, 0.2]),
    ],
)
def test_every_shape_at_its_quarters(name: str, expected: list[float]) -> None:
    assert along(name, power=2) == pytest.approx(expected)


def test_two_cycles_end_low_and_restarts_begin_again_at_the_peak() -> None:
    """A wave and a half; two falling half waves, of which the second begins in the middle of the run."""
    third = Schedule("cosine", peak=1, end=0, warmup=0, total=300, cycles=2)
    assert [rate_at(third, step) for step in (100, 200, 300)] == pytest.approx([1e-9, 1, 1e-9])
    assert along("cosine_with_restarts", cycles=2) == pytest.approx([0.5, 1, 0.6, 1, 0.6, 0.2, 0.2])


@pytest.mark.parametrize("name", ["cosine", "sine", "cosine_with_restarts"])
def test_annealing_stops_above_nothing(name: str) -> None:
    assert rate_at(Schedule(name, peak=1e-4, end=0, warmup=0, total=10), 10) == 1e-9
