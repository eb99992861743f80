"""Variance and linear reference of one collection of pictures of several sizes."""

from __future__ import annotations

import pytest
import torch

from simpletuner.core.batch import Latents
from simpletuner.core.seeds import generator
from simpletuner.diffusion.references.linear import linear_loss
from simpletuner.diffusion.references.yardstick import Yardstick

STREAM = generator("yardstick")


def white(side: int, variance: float, count: int) -> list[tuple[Latents, float]]:
    """Latents without any structure, whose spectrum is flat."""
    rows = [variance**0.5 * torch.randn(4, side, side, generator=STREAM) for _ in range(count)]
    return [(Latents(row, torch.full_like(row, -60.0)), 1.0) for row in rows]


def test_each_size_has_its_own_reference_and_all_share_a_variance() -> None:
    found = Yardstick.of([*white(8, 0.5, 300), *white(6, 1.5, 300)])
    assert found.variance == pytest.approx(2.0, rel=0.02)
    assert found.explained(found.variance / 4) == pytest.approx(0.75)
    half = torch.tensor([0.5])
    for size, variance in (((8, 8), 0.5), ((6, 6), 1.5)):
        expected = float(linear_loss(torch.tensor([variance], dtype=torch.float64), half))
        assert found.linear.at(size, 0.5) == pytest.approx(expected, rel=0.02)


def test_the_mean_goes_over_all_sizes_at_all_sigmas() -> None:
    found = Yardstick.of([*white(8, 0.5, 20), *white(6, 1.5, 20)])
    values = [found.linear.at(size, sigma) or 0.0 for size in ((8, 8), (6, 6)) for sigma in (0.3, 0.9)]
    assert found.linear_mean([(8, 8), (6, 6)], (0.3, 0.9)) == pytest.approx(sum(values) / 4)
    assert found.linear_mean([(8, 8), (5, 5)], (0.3, 0.9)) is None


def test_few_pictures_have_a_variance_only() -> None:
    found = Yardstick.of(white(8, 1.0, 3))
    assert found.variance == pytest.approx(2, rel=0.2)
    assert found.linear_mean([(8, 8)], (0.5,)) is None
    assert Yardstick.of(white(8, 1.0, 3), fewest=2).linear_mean([(8, 8)], (0.5,)) is not None
