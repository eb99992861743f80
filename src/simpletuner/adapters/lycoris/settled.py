"""What LyCORIS is told of each layer of a model: its path, its method, and whether it runs beside the layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from simpletuner.adapters.lycoris.selection import Place
from simpletuner.config.files.lycoris_rules import OUTPUT_METHODS, needs_dense_weight, runs_as_branch
from simpletuner.core.errors import ConfigError
from simpletuner.precision.linear import QuantisedLinear

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def module_classes(denoiser: nn.Module) -> set[str]:
    """The classes of the modules that hold a linear layer, or are one."""
    return {
        type(module).__name__
        for module in denoiser.modules()
        if any(isinstance(child, nn.Linear) for child in module.modules()) and module is not denoiser
    }


def places(denoiser: nn.Module) -> Iterator[Place]:
    """Every linear layer and convolution, in the model's order."""
    classes = {path: type(module).__name__ for path, module in denoiser.named_modules()}
    for path, module in denoiser.named_modules():
        if isinstance(module, (nn.Linear, *_CONVOLUTIONS)):
            parts = path.split(".")
            around = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
            yield Place(path, tuple((outer, classes[outer]) for outer in around))


def settled(path: str, layer: nn.Module, own: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """A layer's ``own`` settings, with its method and whether it is a branch said, over those of the file, ``raw``.

    Raises ConfigError when the method cannot be laid over this layer.
    """
    merged = {**raw, **own}
    if "bypass_mode" not in merged and not _may_branch(merged["algo"], layer):
        merged["bypass_mode"] = False
    if isinstance(layer, QuantisedLinear) and (reason := needs_dense_weight(merged)):
        cure = "exclude it with exclude_name, use algo lokr or lora, or base_model_precision=no_change"
        raise ConfigError(f"{path} is quantised, and {reason}", key="algo", cure=cure)
    if merged["algo"] == "tlora" and isinstance(layer, _CONVOLUTIONS):
        cure = f'exclude it: "exclude_name": ["{path}"]'
        raise ConfigError(f"{path} is a convolution, and algo tlora is for linear layers", key="algo", cure=cure)
    return {**own, "algo": merged["algo"], "bypass_mode": runs_as_branch(merged)}


def _may_branch(algo: str, layer: nn.Module) -> bool:
    """A branch of an output method would scale a bias too; GLoRA's fails over a bf16 convolution."""
    if algo in OUTPUT_METHODS:
        return layer.bias is None
    return algo != "glora" or isinstance(layer, nn.Linear)


def by_path(preset: Mapping[str, Any], layers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The preset with nothing but full paths, which LyCORIS compares as wildcards: a path holds none."""
    kept = {key: preset[key] for key in ("enable_conv", "lora_prefix") if key in preset}
    empty: dict[str, Any] = {"target_module": [], "target_name": [], "module_algo_map": {}, "exclude_name": []}
    return kept | empty | {"name_algo_map": dict(layers), "use_fnmatch": True}
