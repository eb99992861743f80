"""OmniGen's gate: up * silu(gate), with less kept for the backward pass than autograd would keep."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import silu


def gated(gate_and_up: Tensor) -> Tensor:
    """The two halves of ``gate_and_up`` (..., 2 f) as up * silu(gate), (..., f)."""
    if torch.compiler.is_compiling():
        # A compiler fuses this and chooses itself what to keep.
        gate, up = gate_and_up.chunk(2, dim=-1)
        return silu(gate) * up
    product: Tensor = _Gated.apply(gate_and_up)  # type: ignore[no-untyped-call]
    return product


class _Gated(Function):
    """silu(gate) is computed again instead of kept: a third of what the feed-forward would keep (f of 3 f)."""

    @staticmethod
    def forward(ctx: Any, gate_and_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_and_up)
        gate, up = gate_and_up.chunk(2, dim=-1)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (gate_and_up,) = ctx.saved_tensors
        gate, up = gate_and_up.chunk(2, dim=-1)
        whole = torch.empty_like(gate_and_up)
        of_gate, of_up = whole.chunk(2, dim=-1)
        torch.mul(gradient, silu(gate), out=of_up)
        torch.ops.aten.silu_backward.grad_input(gradient * up, gate, grad_input=of_gate)
        return whole
