"""An adapter over diffusers' layers as one over the official package's, some of which are several of diffusers'."""

from __future__ import annotations

from collections.abc import Sequence

from simpletuner.adapters.export.fused import fuse, split
from simpletuner.adapters.export.layers import Layers
from simpletuner.core.errors import ConfigError
from simpletuner.models.official import Whole


def fused_layers(layers: Layers, wholes: Sequence[Whole]) -> Layers:
    """``layers`` by the official paths. Raises ConfigError for what cannot be laid over a part of a layer."""
    known = {path for whole in wholes for path, _ in whole.parts}
    if outside := sorted(set(layers) - known):
        raise ConfigError(f"{outside[0]} is in no block", key="--layout", cure="use --layout diffusers")
    found: Layers = {}
    for whole in wholes:
        if any(path in layers for path, _ in whole.parts):
            alone = len(whole.parts) == 1
            found[whole.path] = layers[whole.parts[0][0]] if alone else fuse(layers, whole.parts)
    return found


def parts_of(fused: Layers, wholes: Sequence[Whole], original: Layers) -> Layers:
    """:func:`fused_layers` backwards; ``original`` tells which parts had a LoRA, and of which rank."""
    ranks = {path: len(its["lora_down.weight"]) for path, its in original.items() if "lora_down.weight" in its}
    found: Layers = {}
    for whole in wholes:
        if whole.path not in fused:
            continue
        if len(whole.parts) == 1:
            found[whole.parts[0][0]] = fused[whole.path]
        else:
            found |= split(fused[whole.path], whole.parts, ranks)
    return found
