"""Input perturbation against the paper's sum."""

from __future__ import annotations

import pytest
import torch

from simpletuner.diffusion.flow import mix
from simpletuner.training.objectives.perturbation import InputPerturbation, perturbed

SIGMA = torch.tensor([0.1, 0.5, 1.0])


def test_it_is_the_mixture_with_more_noise() -> None:
    latents, noise, xi = torch.randn(3, 3, 4, 2, 2)
    shown = perturbed(mix(latents, noise, SIGMA), SIGMA, 0.1 * xi)
    for row, sigma in enumerate(SIGMA.tolist()):
        expected = (1 - sigma) * latents[row] + sigma * (noise[row] + 0.1 * xi[row])
        assert torch.allclose(shown[row], expected, atol=1e-6)


def test_without_it_nothing_is_touched() -> None:
    noisy = torch.randn(3, 1, 2, 2)
    assert perturbed(noisy, SIGMA, None) is noisy


@pytest.mark.parametrize(("step", "strength"), [(1, 0.2), (2, 0.15), (3, 0.1), (5, 0.0), (9, 0.0)])
def test_it_falls_to_nothing_over_its_steps(step: int, strength: float) -> None:
    assert InputPerturbation(0.2, steps=4).at(step) == pytest.approx(strength)
    assert InputPerturbation(0.2).at(step) == 0.2, "0 steps keep it"
