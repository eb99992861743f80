"""Gradients between backward and update: their size, their health, their clipping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.core.errors import ConfigError


@dataclass(frozen=True)
class GradientSize:
    """Before clipping: the total L2 norm and the largest absolute entry."""

    norm: float
    absmax: float

    @property
    def is_finite(self) -> bool:
        """False as soon as one entry is NaN or infinite: both figures carry it."""
        return math.isfinite(self.norm) and math.isfinite(self.absmax)


def measure(parameters: Sequence[Parameter]) -> GradientSize:
    """Norm and largest entry of all gradients, with one transfer from the device."""
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not grads:
        return GradientSize(norm=0.0, absmax=0.0)
    norms: list[Tensor] = list(torch._foreach_norm(grads))  # noqa: SLF001  # what clip_grad_norm_ itself calls
    largest: list[Tensor] = list(torch._foreach_norm(grads, math.inf))  # noqa: SLF001
    norm, absmax = torch.stack((torch.stack(norms).norm(), torch.stack(largest).max())).float().tolist()
    return GradientSize(norm=norm, absmax=absmax)


def clip(parameters: Sequence[Parameter], method: str, threshold: float, size: GradientSize) -> None:
    """Limit gradients in place: each entry to +-threshold (``value``) or the total norm (``norm``). 0 is no limit."""
    if threshold <= 0:
        return
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if method == "value":
        torch._foreach_clamp_min_(grads, -threshold)  # what clip_grad_value_ itself calls
        torch._foreach_clamp_max_(grads, threshold)
    elif size.norm > threshold:
        torch._foreach_mul_(grads, threshold / size.norm)


def gather_in_fp32(parameters: Sequence[Parameter]) -> None:
    """Let the gradients of narrower weights be fp32, so that those of many micro-batches add up without rounding.

    Each micro-batch's own gradient is still computed in the weights' type. Raises ConfigError on torch before 2.10.
    """
    for parameter in parameters:
        if parameter.dtype == torch.float32:
            continue
        if not hasattr(parameter, "grad_dtype"):
            cure = "update torch, or remove it"
            raise ConfigError("fp32 needs torch 2.10 or newer", key="gradient_precision", cure=cure)
        parameter.grad_dtype = torch.float32
