from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import silu

from simpletuner.models.omnigen.gate import gated


def plainly(gate_and_up: Tensor) -> Tensor:
    gate, up = gate_and_up.chunk(2, dim=-1)
    return silu(gate) * up


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_value_and_gradient_are_the_plain_ones_to_the_bit(dtype: torch.dtype) -> None:
    inputs = torch.randn(3, 5, 14, dtype=dtype, requires_grad=True)
    upstream = torch.randn(3, 5, 7, dtype=dtype)
    assert torch.equal(gated(inputs), plainly(inputs))
    ours, theirs = (torch.autograd.grad(way(inputs), inputs, upstream)[0] for way in (gated, plainly))
    assert torch.equal(ours, theirs)


def test_only_the_input_is_kept() -> None:
    inputs, kept = torch.randn(3, 14, requires_grad=True), []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.untyped_storage().data_ptr())
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        gated(inputs)
    assert kept == [inputs.data_ptr()]
