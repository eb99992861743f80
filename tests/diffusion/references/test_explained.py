"""The variance of what is learned, and the share of it that a loss explains."""

from __future__ import annotations

import pytest
import torch

from simpletuner.core.batch import Latents
from simpletuner.core.seeds import generator
from simpletuner.diffusion.flow import velocity
from simpletuner.diffusion.references.explained import Moments, bin_means, bin_of, explained, target_variance

STREAM = generator("explained")


def latents(mean: float, spread: float, logvar: float, cells: int = 40) -> Latents:
    values = mean + spread * torch.randn(4, cells, cells, generator=STREAM)
    return Latents(values, torch.full_like(values, logvar))


def test_the_variance_is_that_of_draws_about_their_mean() -> None:
    moments = Moments()
    for _ in range(8):
        moments.add(latents(mean=3.0, spread=0.8, logvar=-1.0))
    assert moments.variance() == pytest.approx(0.8**2 + 0.36788, rel=0.02)


def test_pictures_that_differ_as_a_whole_vary() -> None:
    moments = Moments()
    for mean in (-1.0, 1.0):
        moments.add(latents(mean, spread=0.0, logvar=-60.0))
    assert moments.variance() == pytest.approx(1.0)


def test_a_picture_counts_as_often_as_it_is_used_whatever_its_size() -> None:
    moments = Moments()
    moments.add(latents(1.0, 0.0, -60.0, cells=2), weight=3)
    moments.add(latents(-1.0, 0.0, -60.0, cells=9))
    assert moments.variance() == pytest.approx(1 - 0.5**2)


def test_the_best_constant_explains_nothing_and_no_error_explains_all() -> None:
    drawn = latents(mean=0.0, spread=0.5, logvar=-60.0, cells=200)
    target = velocity(drawn.mean, torch.randn(drawn.mean.shape, generator=STREAM))
    variance = target_variance(0.25)
    constant = float((target - target.mean()).square().mean())
    assert explained(constant, variance) == pytest.approx(0, abs=0.01)
    assert explained(0.0, variance) == 1
    assert explained(2 * variance, variance) == -1


def test_bins_are_equal_parts_and_empty_ones_are_left_out() -> None:
    assert [bin_of(sigma, 5) for sigma in (0.0, 0.199, 0.2, 0.5, 0.999, 1.0)] == [0, 0, 1, 2, 4, 4]
    assert bin_means([(0.1, 2.0), (0.9, 1.0), (0.15, 4.0)], 5) == {0: 3.0, 4: 1.0}
