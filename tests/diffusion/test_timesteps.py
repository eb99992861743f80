"""Laws of sigma by their quantiles, and the even sequence."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.diffusion.timesteps import Beta, Law, Listed, LogitNormal, Uniform, Weighted, stratified

SHARES = [(number + 0.5) / 200 for number in range(200)]
LAWS = [
    LogitNormal(),
    LogitNormal(2.0, 3.0),
    Uniform(),
    Beta(2, 2),
    Beta(0.5, 3),
    Weighted((1, 0, 4, 2)),
    Weighted((3, 1)),
]


def spread(law: Law) -> list[float]:
    return [law.quantile(share) for share in SHARES]


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_quantiles_rise_from_image_to_noise(law: Law) -> None:
    values = spread(law)
    assert values == sorted(values)
    assert 0 < values[0] < values[-1] < 1
    assert 0 <= law.quantile(2**-54) < law.quantile(1 - 2**-53) <= 1


def test_the_logit_normal_is_the_sigmoid_of_a_normal_draw() -> None:
    normal = torch.special.ndtri(torch.tensor(SHARES, dtype=torch.float64))
    assert spread(LogitNormal(0.7)) == pytest.approx((0.7 * normal).sigmoid().tolist(), abs=1e-12)


def test_a_location_moves_the_logit_normal_after_its_scale() -> None:
    normal = torch.special.ndtri(torch.tensor(SHARES, dtype=torch.float64))
    assert spread(LogitNormal(0.7, -1.5)) == pytest.approx((0.7 * normal - 1.5).sigmoid().tolist(), abs=1e-12)
    assert LogitNormal(1.0, -1.5).quantile(0.5) < 0.5, "below 0 is nearer to the image"


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 2.0), (1.0, 3.0), (5.0, 1.5)])
def test_beta_has_its_mean_and_variance(alpha: float, beta: float) -> None:
    values = spread(Beta(alpha, beta))
    total = alpha + beta
    assert statistics.mean(values) == pytest.approx(alpha / total, abs=1e-3)
    assert statistics.pvariance(values) == pytest.approx(alpha * beta / (total**2 * (total + 1)), rel=0.02)


@pytest.mark.parametrize("weights", [(), (5.0,), (2.0, 2.0), (1.0, 1.0, 1.0, 1.0)])
def test_equal_weights_are_uniform(weights: tuple[float, ...]) -> None:
    assert spread(Weighted(weights)) == pytest.approx(SHARES, abs=1e-12)


def test_two_weights_are_a_straight_line() -> None:
    """Density 2x: its quantile is a square root; density 2 (1 - x) is the same from the other end."""
    assert spread(Weighted((0.0, 3.0))) == pytest.approx([math.sqrt(share) for share in SHARES], abs=1e-12)
    assert spread(Weighted((3.0, 0.0))) == pytest.approx([1 - math.sqrt(1 - share) for share in SHARES], abs=1e-12)


def test_more_weights_are_the_density_of_the_draws() -> None:
    """A histogram of even draws has the shape of the curve: the weights at their places, nothing where they are 0."""
    weights = (0.0, 2.0, 2.0, 0.0, 0.0, 1.0)
    law = Weighted(weights)
    draws = np.array([law.quantile((number + 0.5) / 50_000) for number in range(50_000)])
    counts, _ = np.histogram(draws, bins=np.linspace(0, 1, 501))
    assert ((draws > 0.6001) & (draws < 0.7999)).sum() == 0
    middle = counts[[100, 200]] + counts[[99, 199]]
    assert middle == pytest.approx([middle[0]] * 2, rel=0.02), "two places of equal weight"
    assert counts[499] / middle[0] * 2 == pytest.approx(0.5, rel=0.02)


def test_a_list_gives_each_of_its_members_its_turn() -> None:
    law = Listed((0.9, 0.1, 0.5))
    assert [law.quantile(share) for share in (0.0, 0.33, 0.34, 0.66, 0.67, 1.0)] == [0.9, 0.9, 0.1, 0.1, 0.5, 0.5]


def discrepancy(points: list[float]) -> float:
    """The star discrepancy: the largest error of a share that the points would estimate (Niederreiter 1992, 2.6)."""
    ordered, count = sorted(points), len(points)
    return max(max((rank + 1) / count - point, point - rank / count) for rank, point in enumerate(ordered))


@given(st.integers(0, 2**63), st.integers(0, 10**12), st.integers(5, 400))
def test_any_run_of_uses_covers_the_whole_range_evenly(start: int, first: int, count: int) -> None:
    """Within a bound of log N / N that random points, which reach 1 / sqrt(N), do not keep."""
    assert discrepancy([stratified(start, first + number) for number in range(count)]) < _bound(count)


def _bound(count: int) -> float:
    return (1 + math.log(count) / 2) / count


def test_random_points_do_not_keep_that_bound() -> None:
    draws = torch.rand(200, 100, generator=torch.Generator().manual_seed(0)).tolist()
    kept = sum(discrepancy(points) < _bound(100) for points in draws)
    assert kept == 0, "of 200"


def test_members_differ_and_stay_inside() -> None:
    points = [stratified(7, number) for number in range(10_000)]
    assert len(set(points)) == 10_000
    assert 0 < min(points) < max(points) < 1
    assert stratified(2**64 - 1, 0) < 1
    assert stratified(0, 0) > 0
