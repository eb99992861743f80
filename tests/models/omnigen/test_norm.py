"""The norm and its gradient, against torch's own."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.normalization import RMSNorm
from torch.nn.functional import rms_norm

from simpletuner.models.omnigen.norm import normed
from simpletuner.models.recompute import saved_bytes

WIDTH = 48


def norm(dtype: torch.dtype = torch.float32) -> RMSNorm:
    made = RMSNorm(WIDTH, eps=1e-5).to(dtype)
    torch.nn.init.normal_(made.weight, mean=1, std=0.2)
    return made


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-6), (torch.float64, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("frozen", [True, False])
def test_values_and_gradients_are_torchs(dtype: torch.dtype, within: float, *, frozen: bool) -> None:
    made = norm(dtype).requires_grad_(not frozen)
    hidden = (3 * torch.randn(2, 5, WIDTH)).to(dtype).requires_grad_()
    wanted = [hidden] if frozen else [hidden, made.weight]
    ours, theirs = normed(made, hidden), rms_norm(hidden, (WIDTH,), made.weight, made.eps)
    upstream = torch.randn_like(theirs)
    assert ours.dtype == dtype
    assert (ours - theirs).abs().max() <= within * theirs.abs().max()
    found, expected = (torch.autograd.grad(result, wanted, upstream) for result in (ours, theirs))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        assert (one - other).abs().max() <= within * other.abs().max()


def test_a_frozen_scale_keeps_one_number_a_token_beside_the_input() -> None:
    made, hidden = norm().requires_grad_(requires_grad=False), torch.randn(7, WIDTH, requires_grad=True)
    assert saved_bytes(lambda: normed(made, hidden), [made.weight]) == hidden.nbytes + 7 * 4


def test_another_type_than_the_weights_is_left_to_diffusers() -> None:
    made, hidden = norm(), torch.randn(3, WIDTH, dtype=torch.bfloat16)
    assert torch.equal(normed(made, hidden), made(hidden))
