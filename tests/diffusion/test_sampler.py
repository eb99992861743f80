"""The sampler against a flow whose path is known."""

from __future__ import annotations

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from simpletuner.diffusion.sampler import euler, guide, sigmas


def test_a_straight_flow_arrives_in_any_number_of_steps() -> None:
    image, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)

    def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
        assert noisy.shape[0] == sigma.shape[0]
        return noise - image

    for steps in (1, 7, 20):
        assert torch.allclose(euler(noise, velocity, steps), image, atol=1e-5)


def test_it_looks_at_the_noisiest_sigma_first_and_tells_every_step() -> None:
    seen: list[float] = []
    told: list[int] = []

    def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
        seen.append(float(sigma[0]))
        return torch.zeros_like(noisy)

    euler(torch.zeros(1, 4, 2, 2), velocity, 4, told.append)
    assert seen == [1.0, 0.75, 0.5, 0.25]
    assert told == [1, 2, 3, 4]


def test_sigmas_equal_the_references_scheduler() -> None:

    scheduler = FlowMatchEulerDiscreteScheduler(invert_sigmas=True, num_train_timesteps=1)
    scheduler.set_timesteps(sigmas=sigmas(20)[:-1].tolist())
    assert torch.allclose(1 - sigmas(20), scheduler.sigmas, atol=1e-6)


@pytest.mark.parametrize(("scale", "expected"), [(0.0, 1.0), (1.0, 3.0), (2.5, 6.0)])
def test_guidance(scale: float, expected: float) -> None:
    assert guide(torch.tensor(3.0), torch.tensor(1.0), scale).item() == expected
