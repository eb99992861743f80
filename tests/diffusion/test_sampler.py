"""The sampler against a flow whose path is known."""

from __future__ import annotations

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from simpletuner.diffusion.sampler import SamplingStep, euler, euler_step, follow, guide, guide_by_pictures, sigmas


def test_a_straight_flow_arrives_in_any_number_of_steps() -> None:
    image, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)

    def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
        assert noisy.shape[0] == sigma.shape[0]
        return noise - image

    for steps in (1, 7, 20):
        assert torch.allclose(euler(noise, velocity, steps), image, atol=1e-5)


def test_it_looks_at_the_noisiest_sigma_first_and_tells_every_step() -> None:
    seen: list[float] = []
    told: list[SamplingStep] = []

    def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
        seen.append(float(sigma[0]))
        return torch.zeros_like(noisy)

    euler(torch.zeros(1, 4, 2, 2), velocity, 4, told.append)
    assert seen == [1.0, 0.75, 0.5, 0.25]
    assert [(done.number, float(done.sigma[0]), float(done.next_sigma[0])) for done in told] == [
        (1, 1.0, 0.75),
        (2, 0.75, 0.5),
        (3, 0.5, 0.25),
        (4, 0.25, 0.0),
    ]


def test_the_estimate_is_the_end_of_a_straight_way_and_at_the_last_step_the_end_itself() -> None:
    image, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    told: list[SamplingStep] = []
    euler(noise, lambda noisy, sigma: noise - image, 5, told.append)
    assert all(torch.allclose(done.estimate, image, atol=1e-5) for done in told)
    told.clear()
    end = euler(noise, lambda noisy, sigma: noisy.sin(), 5, told.append)
    assert torch.equal(told[-1].estimate, end)
    assert torch.equal(told[0].estimate, noise - noise.sin())


def test_sigmas_equal_the_references_scheduler() -> None:

    scheduler = FlowMatchEulerDiscreteScheduler(invert_sigmas=True, num_train_timesteps=1)
    scheduler.set_timesteps(sigmas=sigmas(20)[:-1].tolist())
    assert torch.allclose(1 - sigmas(20), scheduler.sigmas, atol=1e-6)


@pytest.mark.parametrize(("scale", "expected"), [(0.0, 1.0), (1.0, 3.0), (2.5, 6.0)])
def test_guidance(scale: float, expected: float) -> None:
    assert guide(torch.tensor(3.0), torch.tensor(1.0), scale).item() == expected


def test_following_any_grid_is_one_euler_step_a_pair() -> None:
    noisy, grid = torch.randn(2, 4, 3, 3), torch.tensor([0.9, 0.7, 0.65])

    def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
        return noisy.sin() * sigma[:, None, None, None]

    first = noisy + (grid[1] - grid[0]) * (noisy.sin() * grid[0])
    assert torch.equal(follow(noisy, velocity, grid), first + (grid[2] - grid[1]) * (first.sin() * grid[1]))
    assert torch.equal(follow(noisy, velocity, sigmas(5)), euler(noisy, velocity, 5))
    assert torch.equal(follow(noisy, velocity, grid[:1]), noisy), "nowhere to go"
    rows = euler_step(noisy, torch.ones_like(noisy), torch.tensor([0.5, 1.0]), torch.tensor([0.25, 1.0]))
    assert torch.equal(rows, torch.stack([noisy[0] - 0.25, noisy[1]])), "each row takes its own step"


def test_guidance_by_pictures_is_the_references_formula() -> None:
    cond, seen, uncond = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    for words, pictures in ((2.5, 1.6), (3.0, 1.0), (1.0, 2.0)):
        # forward_with_separate_cfg of the official package, word for word.
        expected = uncond + pictures * (seen - uncond) + words * (cond - seen)
        assert torch.allclose(guide_by_pictures(cond, seen, uncond, words, pictures), expected, atol=1e-6)
    assert torch.allclose(guide_by_pictures(cond, seen, uncond, 1.0, 1.0), cond, atol=1e-6)
    assert torch.allclose(guide_by_pictures(cond, uncond, uncond, 2.5, 1.6), guide(cond, uncond, 2.5), atol=1e-6)
