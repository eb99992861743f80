"""Root mean square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467) with a frozen scale."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.normalization import RMSNorm
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import rms_norm


def normed(norm: RMSNorm, hidden: Tensor) -> Tensor:
    """``hidden`` (..., d) by diffusers' ``norm``, in the type of ``hidden``.

    On a card torch has one kernel for it. Elsewhere it takes a dozen passes over memory and keeps three copies for the
    backward pass, so that ours is used where the scale is frozen.
    """
    if hidden.dtype != norm.weight.dtype:
        return norm(hidden)
    if hidden.device.type == "cuda" or norm.weight.requires_grad or torch.compiler.is_compiling():
        return rms_norm(hidden, norm.weight.shape, norm.weight, norm.eps)
    result: Tensor = _FrozenScale.apply(hidden, norm.weight, norm.eps)  # type: ignore[no-untyped-call]
    return result


class _FrozenScale(Function):
    """Keeps its input and one number a token: y = r w x with r = (mean(x^2) + eps)^-1/2."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = torch.promote_types(hidden.dtype, torch.float32)
        length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True, dtype=wide)
        inverse = length.square_().div_(hidden.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(hidden, weight, inverse)
        return (hidden * inverse).mul_(weight).to(hidden.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        hidden, weight, inverse = ctx.saved_tensors
        scaled = gradient * weight
        along = torch.linalg.vecdot(scaled.to(inverse.dtype), hidden.to(inverse.dtype)).unsqueeze(-1)
        along.mul_(inverse.pow(3)).div_(hidden.shape[-1])
        scaled = scaled * inverse if scaled.dtype != inverse.dtype else scaled.mul_(inverse)
        return scaled.addcmul_(hidden, along, value=-1).to(hidden.dtype), None, None
