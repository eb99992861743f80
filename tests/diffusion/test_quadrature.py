"""A few fixed points stand for a whole law of sigma."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from simpletuner.diffusion.quadrature import midpoints
from simpletuner.diffusion.timesteps import Beta, Law, Listed, LogitNormal, Uniform


@pytest.mark.parametrize(
    ("law", "mean_square"),
    [(Uniform(), 1 / 3), (Beta(2, 3), 0.2), (Listed((0.25, 0.5, 1.0)), 1.3125 / 3)],
)
def test_a_mean_over_the_points_is_a_mean_over_the_law(law: Law, mean_square: float) -> None:
    points = midpoints(law, 27)
    assert len(points) == 27
    assert sum(point * point for point in points) / 27 == pytest.approx(mean_square, rel=0.01)


def test_the_points_of_a_symmetric_law_are_symmetric_and_never_at_the_ends() -> None:
    points = midpoints(LogitNormal(), 28)
    assert all(0 < early < late < 1 for early, late in pairwise(points))
    assert all(math.isclose(low + high, 1) for low, high in zip(points, reversed(points), strict=True))
