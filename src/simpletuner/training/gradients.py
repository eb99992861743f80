"""Gradients between backward and update: their size, their health, their clipping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.core.errors import ConfigError
from simpletuner.training.parallel.shards import own


class Trained(Protocol):
    """What has a gradient: a parameter, or a piece of several."""

    @property
    def grad(self) -> Tensor | None:
        """None before a backward pass."""
        ...


@dataclass(frozen=True)
class GradientSize:
    """Before clipping: the total L2 norm and the largest absolute entry."""

    norm: float
    absmax: float

    @property
    def is_finite(self) -> bool:
        """False as soon as one entry is NaN or infinite: both figures carry it."""
        return math.isfinite(self.norm) and math.isfinite(self.absmax)


def measure(parameters: Sequence[Trained]) -> GradientSize:
    """Norm and largest entry of all gradients that this process holds, with one transfer from the device."""
    grads = _held(parameters)
    if not grads:
        return GradientSize(norm=0.0, absmax=0.0)
    norms: list[Tensor] = list(torch._foreach_norm(grads))  # noqa: SLF001  # what clip_grad_norm_ itself calls
    norm, absmax = torch.stack((torch.stack(norms).norm(), torch.stack(_largest(grads)).max())).float().tolist()
    return GradientSize(norm=norm, absmax=absmax)


def _largest(grads: Sequence[Tensor]) -> list[Tensor]:
    if grads[0].device.type == "cpu":
        # torch's inf-norm takes fifteen times as long there.
        return [torch.stack(torch.aminmax(grad)).abs().max() for grad in grads]
    return list(torch._foreach_norm(list(grads), math.inf))  # noqa: SLF001


def _held(parameters: Sequence[Trained]) -> list[Tensor]:
    """The gradients, or of those in parts this process's, unless that part is empty."""
    grads = [own(parameter.grad) for parameter in parameters if parameter.grad is not None]
    return [grad for grad in grads if grad.numel()]


def clip(parameters: Sequence[Trained], method: str, threshold: float, size: GradientSize) -> None:
    """Limit gradients in place: each entry to +-threshold (``value``) or the total norm (``norm``). 0 is no limit."""
    grads = _held(parameters)
    if threshold <= 0 or not grads:
        return
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
