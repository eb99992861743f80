"""The optimizer's state as named tensors, so that no pickle is needed to keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from simpletuner.core.errors import DataError


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: Sequence[str]) -> dict[str, Tensor]:
    """``<parameter>/<key>`` to state tensor. ``names`` are the parameters in the optimizer's order.

    Safetensors holds no empty shapes well known to all readers, so a scalar is kept as a vector of one.
    """
    state = optimizer.state_dict()["state"]
    return {
        f"{names[index]}/{key}": value.detach().reshape(-1) if value.ndim == 0 else value.detach().contiguous()
        for index, entries in state.items()
        for key, value in entries.items()
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, names: Sequence[str], tensors: Mapping[str, Tensor], scalars: Sequence[str]
) -> None:
    """Put back what :func:`optimizer_tensors` took out; ``scalars`` are the keys that were scalars.

    Raises DataError when the tensors are for other parameters.
    """
    order = {name: index for index, name in enumerate(names)}
    state: dict[int, dict[str, Tensor]] = {}
    for full, value in tensors.items():
        name, key = full.rsplit("/", 1)
        if name not in order:
            raise DataError(f"the optimizer state has a parameter this run does not train: {name}", cure="use --fresh")
        state.setdefault(order[name], {})[key] = value.reshape(()) if key in scalars else value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def scalar_keys(optimizer: torch.optim.Optimizer) -> list[str]:
    """The state keys that are scalars, for instance a step count."""
    state = optimizer.state_dict()["state"].values()
    return sorted({key for entries in state for key, value in entries.items() if value.ndim == 0})
