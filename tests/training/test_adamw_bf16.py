"""The bf16 optimizer: exact in fp32, and in bf16 right on average where rounding to nearest stands still."""

from __future__ import annotations

import pytest
import torch
from torch.nn import Parameter

from simpletuner.training.adamw_bf16 import AdamSettings, AdamWBF16, round_stochastic


def test_fp32_weights_follow_torchs_adamw() -> None:
    draws = torch.Generator().manual_seed(0)
    start = torch.randn(40, generator=draws)
    ours, theirs = Parameter(start.clone()), Parameter(start.clone())
    own = AdamWBF16([ours], 1e-2, AdamSettings(epsilon=1e-8), seed=0)
    reference = torch.optim.AdamW([theirs], lr=1e-2, eps=1e-8, weight_decay=0.01)
    for _ in range(20):
        gradient = torch.randn(40, generator=draws)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        own.step()
        reference.step()
    assert (ours - theirs).abs().max() < 1e-6


def test_rounding_is_right_on_average_and_never_off_by_more_than_one_step() -> None:
    values = torch.full((100_000,), 1.0 + 2**-10)
    rounded = round_stochastic(values, torch.Generator().manual_seed(1)).float()
    assert set(rounded.unique().tolist()) == {1.0, 1.0 + 2**-7}
    assert rounded.mean().item() == pytest.approx(1.0 + 2**-10, abs=1e-4)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -3.5, 2.0**-100])
def test_what_bf16_can_hold_is_kept(value: float) -> None:
    assert round_stochastic(torch.tensor([value]), torch.Generator().manual_seed(2)).item() == value


def test_small_steps_survive_in_bf16() -> None:
    parameter = Parameter(torch.ones(4096, dtype=torch.bfloat16))
    optimizer = AdamWBF16([parameter], 1e-4, AdamSettings(weight_decay=0.0), seed=3)
    for _ in range(50):
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    assert parameter.float().mean().item() == pytest.approx(1 - 50 * 1e-4, abs=5e-4)


def test_the_same_seed_rounds_the_same_way_and_another_does_not() -> None:
    def trained(seed: int) -> torch.Tensor:
        parameter = Parameter(torch.ones(256, dtype=torch.bfloat16))
        optimizer = AdamWBF16([parameter], 1e-3, AdamSettings(), seed=seed)
        for _ in range(3):
            parameter.grad = torch.ones_like(parameter)
            optimizer.step()
        return parameter.detach().clone()

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))
