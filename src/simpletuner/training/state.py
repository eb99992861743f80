"""The optimizer's state in a safetensors file, so that no pickle is needed to keep it.

The file holds what an optimizer wrote itself: its state beside each parameter, and what it counts for all of them.
Its settings are not in it: a resumed run takes them from the configuration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import Parameter

from simpletuner.core.errors import DataError
from simpletuner.training.optimizers import from_bitsandbytes
from simpletuner.training.optimizers.averaging import keeps_average
from simpletuner.training.parallel.shards import fill, shared_like
from simpletuner.training.tensor_file import write_tensors
from simpletuner.training.trees import put_together, take_apart

Parameters = Mapping[str, Parameter]
"""The trained parameters by name."""

_GROUP = "group"
_LIVE = "live"
_TREE = "tree"
_FORM = "the optimizer's state is not as this version writes it"
_CURE = "resume from another checkpoint, or use --fresh"

_COUNTED = frozenset(
    (
        # optimi; "setup" says that it has counted before. Schedule-free, SOAP and Muon count steps, too.
        *("step", "setup"),
        # Schedule-free: the weight of all steps so far, and the highest rate.
        *("weight_sum", "lr_max"),
        # Prodigy: the distance, how it is found, and the highest so far.
        *("d", "d_max", "d_hat", "d_numerator", "d_de_nom"),
    )
)
"""What optimizers write into their parameter groups while they run; all else there is configuration."""


def save_optimizer(optimizer: torch.optim.Optimizer, parameters: Parameters, file: Path | None) -> None:
    """Write the state into ``file``. Not inside ``evaluating``: the weights in training are a part of it.

    Without a ``file`` this process only hands out its parts of what is sharded.
    """
    tensors: dict[str, Tensor] = {} if file is not None else _Nowhere()
    state = {name: _saved(optimizer, parameter) for name, parameter in parameters.items()}
    tree = {
        "state": {name: take_apart(entries, name, tensors) for name, entries in state.items() if entries},
        "groups": [
            take_apart(_counted(group), f"{_GROUP}/{index}", tensors)
            for index, group in enumerate(optimizer.param_groups)
        ],
        "live": keeps_average(optimizer),
    }
    if keeps_average(optimizer):
        take_apart(dict(parameters), _LIVE, tensors)
    if file is not None:
        write_tensors(file, tensors, {_TREE: json.dumps(tree)})


class _Nowhere(dict[str, Tensor]):
    """Keeps nothing: what is handed out need not stay."""

    def __setitem__(self, key: str, value: Tensor) -> None:
        pass


def _saved(optimizer: torch.optim.Optimizer, parameter: Parameter) -> dict[str, Any]:
    state: dict[str, Any] = optimizer.state.get(parameter, {})
    if from_bitsandbytes.is_ours(optimizer):
        return {key: value for key, value in state.items() if key not in from_bitsandbytes.SHARED_TABLES}
    return state


def _counted(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: group[key] for key in sorted(_COUNTED & group.keys())}


def load_optimizer(optimizer: torch.optim.Optimizer, parameters: Parameters, file: Path) -> None:
    """Put back what :func:`save_optimizer` wrote; where an optimizer averages, the weights in training too.

    Raises DataError when the state is for other parameters or for another kind of optimizer.
    """
    with safe_open(file, "pt") as opened:
        tree = json.loads((opened.metadata() or {}).get(_TREE, "{}"))
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # it is no mapping
    if len(tree.get("groups", ())) != len(optimizer.param_groups):
        raise DataError(_FORM, file=file, cure=_CURE)
    for name in tree["state"]:
        if name not in parameters:
            reason = f"the optimizer state has a parameter this run does not train: {name}"
            raise DataError(reason, file=file, cure="use --fresh")
        _put_state(optimizer, parameters[name], put_together(tree["state"][name], name, tensors))
    for index, group in enumerate(optimizer.param_groups):
        group.update(put_together(tree["groups"][index], f"{_GROUP}/{index}", tensors))
    if tree["live"]:
        _put_live(parameters, tensors)


def _put_state(optimizer: torch.optim.Optimizer, parameter: Parameter, entries: dict[str, Any]) -> None:
    if from_bitsandbytes.is_ours(optimizer):
        from_bitsandbytes.adopt(optimizer, parameter, entries)
        return
    counts_there = any(group.get("fused") or group.get("capturable") for group in optimizer.param_groups)
    optimizer.state[parameter] = {
        # As torch does: a count is read by the host, unless a fused kernel reads it.
        key: value if key == "step" and not counts_there else _shared(_moved(value, parameter.device), parameter)
        for key, value in entries.items()
    }


def _shared(value: Any, parameter: Parameter) -> Any:
    """What has the shape of a sharded parameter was sharded like it."""
    return shared_like(value, parameter) if isinstance(value, Tensor) and value.shape == parameter.shape else value


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, list):
        return [_moved(item, device) for item in value]
    return value.to(device) if isinstance(value, Tensor) else value


@torch.no_grad()
def _put_live(parameters: Parameters, tensors: Mapping[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        fill(parameter, tensors[f"{_LIVE}/{name}"])
