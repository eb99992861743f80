"""The incomplete beta function against its closed forms and against the integral that it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simpletuner.diffusion.beta import beta_cdf

POINTS = [number / 40 for number in range(41)]


def test_closed_forms() -> None:
    for x in POINTS:
        assert beta_cdf(x, 1, 1) == pytest.approx(x, abs=1e-14)
        assert beta_cdf(x, 2, 2) == pytest.approx(3 * x**2 - 2 * x**3, abs=1e-14)
        assert beta_cdf(x, 0.5, 0.5) == pytest.approx(2 / math.pi * math.asin(math.sqrt(x)), abs=1e-13)
        assert beta_cdf(x, 3, 1) == pytest.approx(x**3, abs=1e-14)
        assert beta_cdf(x, 1, 7) == pytest.approx(1 - (1 - x) ** 7, abs=1e-14)


@pytest.mark.parametrize(("a", "b"), [(2.5, 4.0), (12.0, 1.7), (60.0, 90.0)])
def test_it_is_the_integral_of_the_density(a: float, b: float) -> None:
    grid = np.linspace(0, 1, 200_001)
    density = grid ** (a - 1) * (1 - grid) ** (b - 1)
    area = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    for x in POINTS:
        assert beta_cdf(x, a, b) == pytest.approx(area[round(x * 200_000)] / area[-1], abs=1e-7)


def test_outside_it_is_nothing_or_all() -> None:
    assert [beta_cdf(x, 2, 5) for x in (-1.0, 0.0, 1.0, 2.0)] == [0, 0, 1, 1]
