"""An adapter file as layers: dotted path to LyCORIS's names of its tensors, whichever library wrote them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from simpletuner.adapters.initial import AdapterFile, described_alpha
from simpletuner.adapters.lycoris.geometry import StoredLayer, match_layers
from simpletuner.core.errors import ConfigError

Leaves = dict[str, Tensor]
"""The tensors of one layer by LyCORIS's names: ``lokr_w1``, ``lora_down.weight``, ``alpha`` ..."""
Layers = dict[str, Leaves]
"""Leaves by the dotted path of their layer in the model."""

DESCRIBED = "lora_adapter_metadata"
"""Where diffusers keeps the LoraConfig of a standard LoRA."""
_TO_LYCORIS = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}
_COMPONENT = "transformer."
_MARKS = {
    "lora_down.weight": "lora",
    "lambda_layer": "tlora",
    "hada_w1_a": "loha",
    "lokr_w1": "lokr",
    "lokr_w1_a": "lokr",
    "diff": "full",
    "a2.weight": "glora",
    "oft_blocks": "oft",
    "on_input": "ia3",
}


def layers_of(file: AdapterFile, paths: Collection[str]) -> Layers:
    """The layers in ``file``; ``paths`` are those of the model. Raises ConfigError when it is for another model.

    A standard LoRA's alpha is in its metadata alone, and is asked for there.
    """
    return _standard(file, paths) if file.kind == "standard" else _lycoris(file, paths)


def method_of(leaves: Mapping[str, Tensor]) -> str:
    """How a layer is adapted: ``lora``, ``loha``, ``lokr``, ``full``, ``glora``, ``oft``, ``ia3``, ``tlora``.

    ``unknown`` for anything else.
    """
    return next((method for mark, method in _MARKS.items() if mark in leaves), "unknown")


def stored_alpha(file: AdapterFile) -> float:
    """The alpha of a standard LoRA. Raises ConfigError when its metadata do not say it: the scale would be a guess."""
    alpha = described_alpha(file, "--adapter")
    if alpha is None:
        raise ConfigError(
            f"its metadata lack the configuration ({DESCRIBED}): alpha, and with it the strength, is unknown",
            file=file.path,
            key="--adapter",
            cure="use the file as simpletuner wrote it",
        )
    return alpha


def _standard(file: AdapterFile, paths: Collection[str]) -> Layers:
    alpha = torch.tensor(stored_alpha(file))
    layers: Layers = {}
    for name, tensor in file.tensors.items():
        path, leaf = _split(name.removeprefix(_COMPONENT), _TO_LYCORIS)
        if path not in paths or not leaf:
            raise ConfigError(
                f"its tensor {name} is of no layer of this model",
                file=file.path,
                key="--adapter",
                cure="give the base model it was trained on with --model",
            )
        layers.setdefault(path, {"alpha": alpha})[_TO_LYCORIS[leaf]] = tensor
    return layers


def _split(name: str, leaves: Collection[str]) -> tuple[str, str]:
    """Path and leaf of a dotted name; two empty texts when it ends in none of ``leaves``."""
    found = [(name.removesuffix(f".{leaf}"), leaf) for leaf in leaves if name.endswith(f".{leaf}")]
    return found[0] if found else ("", "")


def _lycoris(file: AdapterFile, paths: Collection[str]) -> Layers:
    by_name: dict[str, Leaves] = {}
    for full, tensor in file.tensors.items():
        name, _, leaf = full.partition(".")
        by_name.setdefault(name, {})[leaf] = tensor
    stored = {
        name: StoredLayer({leaf: tuple(one.shape) for leaf, one in its.items()}, {}) for name, its in by_name.items()
    }
    try:
        _, found = match_layers(stored, dict.fromkeys(paths))
    except ConfigError as error:
        raise ConfigError(error.reason, file=file.path, key="--adapter", cure=error.cure) from None
    return {found[name]: its for name, its in by_name.items()}
