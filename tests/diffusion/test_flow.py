"""The straight line: its ends, its derivative, and the law of sigma."""

from __future__ import annotations

import torch

from simpletuner.core.seeds import generator
from simpletuner.diffusion import flow

IMAGE, NOISE = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)


def test_sigma_is_the_share_of_noise() -> None:
    assert torch.equal(flow.mix(IMAGE, NOISE, torch.zeros(3)), IMAGE)
    assert torch.equal(flow.mix(IMAGE, NOISE, torch.ones(3)), NOISE)


def test_velocity_is_the_derivative_of_the_line() -> None:
    sigma = torch.tensor([0.2, 0.5, 0.7], dtype=torch.float64, requires_grad=True)
    mixed = flow.mix(IMAGE.double(), NOISE.double(), sigma)
    slope = torch.autograd.grad(mixed[1].sum(), sigma)[0][1]
    assert torch.allclose(slope, flow.velocity(IMAGE, NOISE)[1].double().sum())


def test_sigma_has_the_quartiles_of_a_logit_normal() -> None:
    draws = generator("quartiles")
    values = torch.stack([flow.logit_normal_sigma(draws) for _ in range(8000)])
    quartiles = values.quantile(torch.tensor([0.25, 0.5, 0.75]))
    assert torch.allclose(quartiles, torch.tensor([-0.6745, 0.0, 0.6745]).sigmoid(), atol=0.015)
