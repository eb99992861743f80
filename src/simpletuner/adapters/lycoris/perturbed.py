"""LoKr that begins as a small random change of its layer instead of none (`init_lokr_norm`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from simpletuner.core.errors import ConfigError
from simpletuner.core.seeds import generator
from simpletuner.precision.linear import QuantisedLinear

_KEY = "init_lokr_norm"


@torch.no_grad()
def perturb(w1: Tensor, w2: Tensor, weight: Tensor, norm: float, draws: torch.Generator) -> None:
    """Fill w1 with ones and w2 with normal values that have the mean and the spread of ``weight``, times ``norm``.

    Their Kronecker product repeats w2, so the delta of the layer has that mean and spread too.
    """
    values = torch.randn(w2.shape, generator=draws)
    wide = weight.detach().float().cpu()
    w1.fill_(1)
    w2.copy_((values * wide.std() + wide.mean()) * norm)


def perturb_lokr(layers: Mapping[str, nn.Module], denoiser: nn.Module, norm: float, seed: int) -> tuple[str, ...]:
    """Give the LoKr layers among LyCORIS's ``layers`` (by dotted path) their random start; lines for the user.

    The draws depend on ``seed`` and the path. Raises ConfigError for factors that are themselves products: nothing
    then holds the mean.
    """
    ours: dict[str, Any] = {path: layer for path, layer in layers.items() if _is_lokr(layer)}
    for path, layer in ours.items():
        if not (layer.use_w1 and layer.use_w2):
            raise ConfigError(
                f"the LoKr at {path} is decomposed, and only whole factors can begin with random values",
                key=_KEY,
                cure='set "full_matrix": true, or a linear_dim of 10000',
            )
        weight = _values(denoiser.get_submodule(path))
        perturb(layer.lokr_w1, layer.lokr_w2, weight, norm, generator(seed, _KEY, path))
    if len(ours) == len(layers):
        return ()
    return (f"{_KEY} is not read by {len(layers) - len(ours)} of {len(layers)} layers: it is for algo lokr",)


def _is_lokr(layer: nn.Module) -> bool:
    return any(name.startswith("lokr_") for name, _ in layer.named_parameters())


def _values(layer: nn.Module) -> Tensor:
    """The weight of a frozen layer, in whatever format it is held."""
    return layer.stored.dense(torch.float32) if isinstance(layer, QuantisedLinear) else layer.get_parameter("weight")
