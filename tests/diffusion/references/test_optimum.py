"""The closed-form optimum, against formulas and against brute force."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.seeds import generator
from simpletuner.diffusion.references.optimum import affordable, best_velocity, optimum

POINTS = -math.inf


def points(rows: Tensor) -> Latents:
    """Pictures without spread."""
    return Latents(rows, torch.full_like(rows, POINTS))


def two_point(distance: float, values: int, sigma: float) -> float:
    """The loss on two points that lie ``distance`` apart, by direct integration.

    Only the coordinate u along their line matters. Seen from the middle, u = (1 - s) (+-D/2) + s n with n normal; the
    chance of the upper one is the logistic function of (1 - s) D u / s^2, and the best guess misses x by
    chance (1 - chance) D^2 on average, v by that over s^2, spread over all values.
    """
    half = (1 - sigma) * distance / 2
    grid = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    density = (-grid.square() / 2).exp() / math.sqrt(2 * math.pi)
    upper = torch.sigmoid(2 * half * (half + sigma * grid) / sigma**2)
    # By symmetry the point is the upper one.
    missed = torch.trapezoid(density * upper * (1 - upper), grid) * distance**2
    return float(missed) / sigma**2 / values


@pytest.mark.parametrize("sigma", [0.35, 0.6, 0.9])
def test_two_points_have_the_loss_of_the_direct_formula(sigma: float) -> None:
    rows = torch.zeros(2, 1, 2, 2)
    rows[1, 0] = torch.tensor([[0.6, -0.3], [0.2, 0.4]])
    distance = float(rows[1].norm())
    found = optimum(points(rows), [sigma], 20_000, "two points")
    expected = two_point(distance, 4, sigma)
    assert abs(float(found.loss) - expected) < 4 * float(found.error)
    assert float(found.loss) == pytest.approx(expected, rel=0.05)
    assert float(found.error) < 0.03 * expected


def test_one_point_leaves_nothing_to_learn() -> None:
    found = optimum(points(torch.randn(1, 4, 3, 3)), [0.1, 0.5, 0.9], 8, "one")
    assert float(found.loss.max()) < 1e-20


def test_one_gaussian_has_the_linear_loss() -> None:
    """A picture with a wide posterior is Gaussian, where the best denoiser is the linear one."""
    variance, sigma = 0.7, 0.3
    wide = Latents(torch.ones(1, 4, 8, 8), torch.full((1, 4, 8, 8), math.log(variance)))
    found = optimum(wide, [sigma], 400, "wide")
    expected = variance / ((1 - sigma) ** 2 * variance + sigma**2)
    assert float(found.loss) == pytest.approx(expected, rel=0.02)


def test_the_best_velocity_is_the_mean_under_the_posterior() -> None:
    """One value: the mixture is integrated over x by brute force."""
    means, variances = torch.tensor([[-1.0], [0.4]]).double(), torch.tensor([[0.09], [0.25]]).double()
    sigma, seen = 0.4, 0.3
    x = torch.linspace(-6, 6, 100_001, dtype=torch.float64)
    prior = sum((-(x - m).square() / (2 * d)).exp() / d.sqrt() for m, d in zip(means, variances, strict=True))
    noise = (seen - (1 - sigma) * x) / sigma
    weight = prior * (-noise.square() / 2).exp()
    expected = float((weight * (noise - x)).sum() / weight.sum())
    found = best_velocity(means, variances, torch.tensor([[seen]]).double(), sigma)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_no_other_prediction_does_better() -> None:
    rows = torch.randn(5, 1, 2, 2, generator=generator("rows")) * 0.3
    latents, sigma = points(rows), 0.7
    means = rows.double().flatten(1)
    stream = generator("other")
    x = means[torch.randint(5, (4000,), generator=stream)]
    noise = torch.randn(x.shape, generator=stream, dtype=torch.float64)
    best = best_velocity(means, torch.zeros_like(means), (1 - sigma) * x + sigma * noise, sigma)
    loss = (best - (noise - x)).square().mean()
    found = optimum(latents, [sigma], 4000, "again")
    assert float(found.loss) == pytest.approx(float(loss), rel=0.1)
    for scale, shift in ((0.97, 0.0), (1.03, 0.0), (1.0, 0.02)):
        assert (scale * best + shift - (noise - x)).square().mean() > loss


def test_the_same_key_gives_the_same_number_and_means_carry_their_error() -> None:
    latents = points(torch.randn(6, 1, 2, 2, generator=generator("key")))
    first, again = (optimum(latents, [0.5, 0.8], 32, "key") for _ in range(2))
    assert torch.equal(first.loss, again.loss)
    assert not torch.equal(first.loss, optimum(latents, [0.5, 0.8], 32, "other").loss)
    loss, error = first.mean()
    assert loss == pytest.approx(float(first.loss.mean()))
    assert error == pytest.approx(math.hypot(*first.error.tolist()) / 2)


def test_large_pictures_are_kept_in_part() -> None:
    assert affordable(100, 4 * 8 * 8) == 100
    assert affordable(10_000, 4 * 128 * 128) == 32
    assert affordable(10_000, 1 << 30) == 2
