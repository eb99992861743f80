"""The one door to bitsandbytes' optimizers: states in 8 bits, and in pages that CUDA moves to the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.core.errors import DataError
from simpletuner.training.optimizers.library import library

_KINDS = {
    "bnb-adagrad": "Adagrad",
    "bnb-adagrad8bit": "Adagrad8bit",
    "bnb-adam": "Adam",
    "bnb-adam8bit": "Adam8bit",
    "bnb-adamw": "AdamW",
    "bnb-adamw8bit": "AdamW8bit",
    "bnb-lion": "Lion",
    "bnb-lion8bit": "Lion8bit",
    "bnb-ademamix": "AdEMAMix",
    "bnb-ademamix8bit": "AdEMAMix8bit",
}
SHARED_TABLES = ("qmap1", "qmap2")
"""What a byte of state stands for: the same table for every parameter, made anew and not saved."""


def build(
    name: str, parameters: Sequence[Parameter], rate: float, settings: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """The optimizer; its state is paged on CUDA only, elsewhere it lies in memory. See :data:`Door`."""
    optim = library("bitsandbytes", name).optim
    chosen = dict(settings)
    if name.endswith("-paged"):
        chosen["is_paged"] = all(parameter.is_cuda for parameter in parameters)
    optimizer: torch.optim.Optimizer = getattr(optim, _KINDS[name.removesuffix("-paged")])(
        parameters, lr=rate, **chosen
    )
    return optimizer


def is_ours(optimizer: torch.optim.Optimizer) -> bool:
    """Whether bitsandbytes made it."""
    return type(optimizer).__module__.startswith("bitsandbytes.")


@torch.no_grad()
def adopt(optimizer: Any, parameter: Parameter, saved: Mapping[str, Any]) -> None:
    """Let the optimizer make the state of ``parameter``, paged where it pages, and fill it with what was ``saved``.

    Raises DataError when the optimizer would keep another kind of state.
    """
    group = next(group for group in optimizer.param_groups if any(parameter is held for held in group["params"]))
    optimizer.init_state(group, parameter, 0, 0)
    state: dict[str, Any] = optimizer.state[parameter]
    for key, value in saved.items():
        if not isinstance(value, Tensor):
            state[key] = value
        elif key not in state or (state[key].shape, state[key].dtype) != (value.shape, value.dtype):
            cure = "put optimizer_config back as it was, or use --fresh"
            raise DataError(f"the optimizer's state '{key}' was kept in another form", cure=cure)
        else:
            state[key].copy_(value)
