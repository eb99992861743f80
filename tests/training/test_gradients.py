"""Sizes and clipping against torch's own functions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import Parameter

from simpletuner.training.gradients import clip, gather_in_fp32, measure


def parameters(seed: int = 0) -> list[Parameter]:
    draws = torch.Generator().manual_seed(seed)
    made = [Parameter(torch.zeros(shape)) for shape in ((3, 4), (5,), (2,))]
    for parameter in made[:2]:
        parameter.grad = torch.randn(parameter.shape, generator=draws)
    return made


def gradients(made: list[Parameter]) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in made if parameter.grad is not None])


def test_size_is_that_of_all_entries_together() -> None:
    made = parameters()
    size = measure(made)
    assert size.norm == pytest.approx(gradients(made).norm().item())
    assert size.absmax == pytest.approx(gradients(made).abs().max().item())


@pytest.mark.parametrize("threshold", [0.01, 0.5, 100.0])
def test_value_clipping_equals_torchs(threshold: float) -> None:
    ours, theirs = parameters(), parameters()
    clip(ours, "value", threshold, measure(ours))
    torch.nn.utils.clip_grad_value_(theirs, threshold)
    assert torch.equal(gradients(ours), gradients(theirs))


@pytest.mark.parametrize("threshold", [0.01, 0.5, 100.0])
def test_norm_clipping_equals_torchs(threshold: float) -> None:
    ours, theirs = parameters(), parameters()
    clip(ours, "norm", threshold, measure(ours))
    torch.nn.utils.clip_grad_norm_(theirs, threshold)
    assert torch.allclose(gradients(ours), gradients(theirs), rtol=1e-5)


def test_zero_is_no_limit() -> None:
    made = parameters()
    clip(made, "norm", 0.0, measure(made))
    assert torch.equal(gradients(made), gradients(parameters()))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_one_bad_entry_is_seen(bad: float) -> None:
    made = parameters()
    assert made[1].grad is not None
    made[1].grad[2] = bad
    assert not measure(made).is_finite


def test_no_gradient_at_all_has_size_zero() -> None:
    assert measure([Parameter(torch.zeros(3))]).norm == 0


def test_gradients_of_fp32_weights_need_no_room_of_their_own() -> None:
    narrow, wide = Parameter(torch.ones(2, dtype=torch.bfloat16)), Parameter(torch.ones(2))
    gather_in_fp32([narrow, wide])
    (narrow.sum() + wide.sum()).backward()
    assert [parameter.grad.dtype for parameter in (narrow, wide) if parameter.grad is not None] == [torch.float32] * 2
    assert measure([narrow, wide]).norm == pytest.approx(2)
    clip([narrow, wide], "value", 0.5, measure([narrow, wide]))
    assert measure([narrow, wide]).absmax == 0.5
