"""Frozen linears of a model, replaced one by one by quantised ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from simpletuner.precision import bnb, quanto, torchao
from simpletuner.precision.linear import QuantisedLinear
from simpletuner.precision.presets import PRESETS, require_device, require_package
from simpletuner.precision.stored import StoredWeight

_DOORS: dict[str, Callable[[Tensor, str], StoredWeight]] = {
    "optimum.quanto": quanto.store,
    "torchao": torchao.store,
    "bitsandbytes": bnb.store,
}


@dataclass(frozen=True)
class QuantisedReport:
    """What was done: ``layers``, and the bytes of their weights before and after."""

    preset: str
    layers: int
    bytes_before: int
    bytes_after: int


def require_format(preset: str, device: torch.device) -> None:
    """Raises ConfigError when the format ``preset`` cannot run on ``device`` or its package is missing."""
    chosen = PRESETS[preset]
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    require_device(chosen, device.type, capability)
    require_package(chosen)


def quantise(
    model: nn.Module,
    paths: Iterable[str],
    preset: str,
    device: torch.device,
    via: Literal["cpu", "accelerator", "pipeline"],
) -> QuantisedReport:
    """Hold the weights of the linears at ``paths`` in the format ``preset``; each is on ``device`` afterwards.

    One layer at a time, so that at no moment more than one of them exists twice. ``via``, the option quantize_via,
    says where the numbers are chosen: on the CPU (``pipeline`` means that, too), or on ``device``, where each dense
    weight goes first; Apple's GPU is not asked to. Call it before an adapter is laid over ``model``. Raises
    ConfigError when the format cannot run on ``device`` or its package is missing, TypeError when a path is not a
    plain linear.
    """
    chosen = PRESETS[preset]
    require_format(preset, device)
    place = device if via == "accelerator" and device.type != "mps" else torch.device("cpu")
    layers = before = after = 0
    for path in paths:
        dense = _plain(model, path)
        before += dense.weight.nbytes
        with torch.no_grad():
            stored = _DOORS[chosen.package](dense.weight.detach().to(place), preset)
        quantised = QuantisedLinear(stored, dense.bias).to(device)
        model.set_submodule(path, quantised)
        layers, after = layers + 1, after + stored.stored_bytes
    return QuantisedReport(preset, layers, before, after)


def _plain(model: nn.Module, path: str) -> nn.Linear:
    layer = model.get_submodule(path)
    if type(layer) is not nn.Linear:
        raise TypeError(f"{path} is a {type(layer).__name__}: only a plain linear is quantised")
    return layer
