"""The one door to optimi: optimizers that keep bf16 weights exact with Kahan's sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import Parameter

from simpletuner.training.optimizers.library import library

_KINDS = {
    "optimi-stableadamw": "StableAdamW",
    "optimi-adamw": "AdamW",
    "optimi-lion": "Lion",
    "optimi-radam": "RAdam",
    "optimi-ranger": "Ranger",
    "optimi-adan": "Adan",
    "optimi-adam": "Adam",
    "optimi-sgd": "SGD",
}


def build(
    name: str, parameters: Sequence[Parameter], rate: float, settings: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """The optimizer, with Kahan's sum for narrow weights and Triton's kernels on CUDA. See :data:`Door`.

    optimi settles both at its first step; they are settled here, so that a resumed run finds them as they were.
    """
    optimi = library("optimi", name)
    narrow = any(parameter.dtype != torch.float32 for parameter in parameters)
    has_triton = library("optimi.utils", name).HAS_TRITON and all(parameter.is_cuda for parameter in parameters)
    chosen = {"kahan_sum": narrow, "triton": has_triton and torch.cuda.is_bf16_supported(), **settings}
    optimizer: torch.optim.Optimizer = getattr(optimi, _KINDS[name])(parameters, lr=rate, **chosen)
    return optimizer
