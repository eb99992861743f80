"""Losses against the formulas, written out number by number."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from simpletuner.training.objectives.losses import Loss, cell_losses, width_at

SIGMA = torch.tensor([0.0, 0.3, 1.0])


def errors() -> Tensor:
    return (
        torch.randn(3, 2, 2, 2, generator=torch.Generator().manual_seed(0))
        * torch.tensor([0.01, 1, 30])[:, None, None, None]
    )


def width(schedule: str, c: float, sigma: float) -> float:
    """The schedules, with the ratio of noise to signal that a straight line has."""
    if schedule == "constant":
        return c
    if schedule == "exponential":
        return c**sigma
    return c if sigma == 1 else (1 - c) / (1 + sigma / (1 - sigma)) ** 2 + c


@pytest.mark.parametrize("kind", ["huber", "smooth_l1"])
@pytest.mark.parametrize("schedule", ["constant", "exponential", "snr"])
@pytest.mark.parametrize("c", [0.1, 1.0])
def test_each_cell_is_the_formula(kind: str, schedule: str, c: float) -> None:
    error = errors()
    got = cell_losses(Loss(kind, c, schedule), error, SIGMA)
    for row, sigma in enumerate(SIGMA.tolist()):
        own = width(schedule, c, sigma)
        factor = 2 * own if kind == "huber" else 2
        expected = [factor * (math.sqrt(e * e + own * own) - own) for e in error[row].flatten().tolist()]
        assert got[row].flatten().tolist() == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_l2_is_the_square_to_the_bit_whatever_the_width() -> None:
    assert torch.equal(cell_losses(Loss("l2", 7.0, "constant"), errors(), SIGMA), errors().square())


def test_the_width_runs_from_one_on_the_picture_to_c_on_noise() -> None:
    for schedule in ("exponential", "snr"):
        widths = width_at(Loss("huber", 0.1, schedule), torch.linspace(0, 1, 11)).tolist()
        assert widths == sorted(widths, reverse=True)
        assert (widths[0], widths[-1]) == (pytest.approx(1), pytest.approx(0.1))


def test_huber_is_the_square_for_small_errors_and_a_straight_line_for_large_ones() -> None:
    sigma, loss = torch.zeros(1), Loss("huber", 0.1, "constant")
    small, large = torch.full((1, 1), 1e-3), torch.full((1, 1), 1e3)
    assert cell_losses(loss, small, sigma).item() == pytest.approx(1e-6, rel=1e-3)
    assert cell_losses(loss, large, sigma).item() == pytest.approx(2 * 0.1 * 1e3, rel=1e-3)
    assert cell_losses(Loss("smooth_l1", 0.1, "constant"), large, sigma).item() == pytest.approx(2e3, rel=1e-3)


def test_tiny_errors_keep_their_loss_and_their_slope() -> None:
    """The difference in the formula is 0 in float32 there."""
    error = torch.full((1, 1), 1e-5, requires_grad=True)
    loss = cell_losses(Loss("huber", 1.0, "constant"), error, torch.zeros(1))
    loss.sum().backward()
    assert loss.item() == pytest.approx(1e-10, rel=1e-4)
    assert error.grad is not None
    assert error.grad.item() == pytest.approx(2e-5, rel=1e-4)
