"""ReflexFlow's two terms against loops over numbers."""

from __future__ import annotations

import math

import pytest
import torch

from simpletuner.training.objectives.reflexflow import anti_drift, frequency_compensation

SHAPE = (3, 2, 2, 2)


def rows(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
def test_frequency_compensation_weighs_by_the_exposure_bias(alpha: float) -> None:
    weights = frequency_compensation(rows(0), rows(1), alpha)
    for row in range(3):
        straight, drawn = rows(0)[row].flatten().tolist(), rows(1)[row].flatten().tolist()
        bias = [c - b for c, b in zip(straight, drawn, strict=True)]
        total = sum(abs(e) for e in bias)
        assert weights[row].flatten().tolist() == pytest.approx([1 + alpha * e / total for e in bias], rel=1e-5)


def test_what_the_roll_out_lost_counts_more_and_no_bias_changes_nothing() -> None:
    lost, none = torch.zeros(SHAPE), torch.zeros(SHAPE)
    lost[:, 0, 0, 0] = 1
    assert (frequency_compensation(lost, none, 1.0)[:, 0, 0, 0] == 2).all()
    assert torch.equal(frequency_compensation(rows(2), rows(2), 5.0), torch.ones(SHAPE))


def test_anti_drift_is_the_distance_of_two_directions() -> None:
    drift = anti_drift(rows(0), rows(1))
    for row in range(3):
        p, q = rows(0)[row].flatten().tolist(), rows(1)[row].flatten().tolist()
        lengths = [math.sqrt(sum(x * x for x in vector)) for vector in (p, q)]
        expected = sum((a / lengths[0] - b / lengths[1]) ** 2 for a, b in zip(p, q, strict=True))
        assert drift[row].item() == pytest.approx(expected, rel=1e-5)


def test_a_velocity_away_from_the_image_has_no_drift_and_one_towards_it_the_most() -> None:
    """Velocities point from image to noise, and so does the way from the image to where the model stands."""
    assert anti_drift(7 * rows(0), 0.1 * rows(0)).tolist() == pytest.approx([0] * 3, abs=1e-6)
    assert anti_drift(-rows(0), rows(0)).tolist() == pytest.approx([4] * 3)


def test_vectors_of_no_length_are_no_division_by_zero() -> None:
    predicted = torch.zeros(SHAPE, requires_grad=True)
    drift = anti_drift(predicted, torch.zeros(SHAPE))
    drift.sum().backward()
    assert drift.tolist() == [0, 0, 0]
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()
