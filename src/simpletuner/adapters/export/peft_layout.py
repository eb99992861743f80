"""LoRA, LoHa and LoKr as PEFT keeps them: a configuration and tensors under its names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simpletuner.adapters.export.layers import DESCRIBED, Layers, Leaves, method_of
from simpletuner.adapters.lokr.size import LokrShape, lokr_shape
from simpletuner.core.errors import ConfigError

_CURE = "use --format merged, which holds any adapter exactly"
_BEFORE = "base_model.model."
_LORA = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight"}


@dataclass(frozen=True)
class PeftLayout:
    """``config`` is the content of PEFT's ``adapter_config.json``; ``tensors`` by path and PEFT's name."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def for_peft(self) -> dict[str, Tensor]:
        """The tensors of ``adapter_model.safetensors``."""
        return {f"{_BEFORE}{name}": tensor for name, tensor in self.tensors.items()}

    def for_diffusers(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Tensors and metadata of one file, as diffusers' loaders of LoRA read them. Raises ConfigError for others."""
        if self.config["peft_type"] != "LORA":
            reason = "a single file of diffusers holds a LoRA and nothing else"
            raise ConfigError(
                reason, key="--output", cure="name a folder: PEFT's own layout, PeftModel.from_pretrained"
            )
        described = {key: value for key, value in self.config.items() if key != "peft_type"}
        prefixed = {f"transformer.{key}": value for key, value in described.items()}
        metadata = {DESCRIBED: json.dumps(prefixed, indent=2, sort_keys=True)}
        return {f"transformer.{name}": tensor for name, tensor in self.tensors.items()}, metadata


def peft_layout(layers: Layers, paths: Collection[str]) -> PeftLayout:
    """``layers`` for PEFT; ``paths`` are all layers of the model. Raises ConfigError naming what PEFT cannot hold."""
    methods = {method_of(leaves) for leaves in layers.values()}
    if len(methods) != 1 or not methods <= set(_CONFIGS):
        raise ConfigError(
            f"PEFT has no layer of {' and '.join(sorted(methods))} like LyCORIS's", key="--format", cure=_CURE
        )
    if any("dora_scale" in leaves for leaves in layers.values()):
        raise ConfigError("LyCORIS's DoRA is not exported to PEFT", key="--format", cure=_CURE)
    (method,) = methods
    config = _CONFIGS[method](layers) | {"target_modules": sorted(layers)}
    if swallowed := sorted(path for path in paths if path not in layers and _means(path, layers)):
        raise ConfigError(f"PEFT would adapt {swallowed[0]} too", key="--format", cure=_CURE)
    rename = _LORA if method == "lora" else {}
    tensors = {
        f"{path}.{rename.get(leaf, leaf)}": tensor.contiguous()
        for path, leaves in layers.items()
        for leaf, tensor in leaves.items()
        if leaf != "alpha"
    }
    return PeftLayout(config, tensors)


def _means(path: str, targets: Collection[str]) -> bool:
    """PEFT takes a target for the end of a path, too."""
    return any(path.endswith(f".{target}") for target in targets)


def _ranked(layers: Layers, rank_of: Mapping[str, int], alpha_name: str) -> dict[str, Any]:
    """Rank and alpha that most layers have, and what the others have, by full path."""
    alphas = {path: _whole(float(layers[path]["alpha"])) for path in layers}
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (rank_of, alphas))
    return {
        "r": rank,
        alpha_name: alpha,
        "rank_pattern": {f"^{path}": own for path, own in rank_of.items() if own != rank},
        "alpha_pattern": {f"^{path}": own for path, own in alphas.items() if own != alpha},
    }


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value


def _lora(layers: Layers) -> dict[str, Any]:
    ranks = {path: len(leaves["lora_down.weight"]) for path, leaves in layers.items()}
    return {"peft_type": "LORA", **_ranked(layers, ranks, "lora_alpha")}


def _loha(layers: Layers) -> dict[str, Any]:
    if any("hada_t1" in leaves for leaves in layers.values()):
        raise ConfigError("Tucker's form of LoHa is not exported to PEFT", key="--format", cure=_CURE)
    ranks = {path: len(leaves["hada_w1_b"]) for path, leaves in layers.items()}
    return {"peft_type": "LOHA", **_ranked(layers, ranks, "alpha")}


def _lokr(layers: Layers) -> dict[str, Any]:
    """PEFT scales by alpha / r even where both factors are whole, and LyCORIS does not: there alpha = r."""
    factors = {_smaller(leaves) for leaves in layers.values()}
    if len(factors) != 1:
        named = " and ".join(str(one) for one in sorted(factors))
        reason = f"PEFT's LoKr has one factor for all layers, and this adapter has {named}"
        raise ConfigError(reason, key="--format", cure=_CURE)
    factor = factors.pop()
    if unlike := next((path for path, leaves in layers.items() if not _is_split_by(factor, leaves)), None):
        raise ConfigError(f"PEFT's LoKr would split {unlike} in other factors", key="--format", cure=_CURE)
    ranks = {path: _rank(leaves) for path, leaves in layers.items()}
    scaled = {path: {"alpha": leaves["alpha"]} if _inner(leaves) else _unit(leaves) for path, leaves in layers.items()}
    both = any("lokr_w1_b" in leaves for leaves in layers.values())
    return {
        "peft_type": "LOKR",
        "decompose_factor": factor,
        "decompose_both": both,
        **_ranked(scaled, ranks, "alpha"),
    }


def _inner(leaves: Leaves) -> list[Tensor]:
    return [leaves[name] for name in ("lokr_w2_b", "lokr_w1_b") if name in leaves]


def _rank(leaves: Leaves) -> int:
    """PEFT keeps the large factor whole where the rank is half of its edge."""
    inner = _inner(leaves)
    return len(inner[0]) if inner else max(leaves["lokr_w2"].shape)


def _unit(leaves: Leaves) -> Leaves:
    return {"alpha": leaves["lokr_w2"].new_tensor(_rank(leaves), dtype=torch.float32)}


def _smaller(leaves: Leaves) -> int:
    """The factor that splits a layer so: the larger edge of w1, which PEFT reaches with both dimensions."""
    return max(_whole_shape(leaves, "lokr_w1"))


def _is_split_by(factor: int, leaves: Leaves) -> bool:
    """Whether PEFT, which has no `unbalanced_factorization`, makes these two factors of the layer."""
    shape = LokrShape(_whole_shape(leaves, "lokr_w1"), _whole_shape(leaves, "lokr_w2"))
    out, inside = (small * large for small, large in zip(shape.w1, shape.w2, strict=True))
    return lokr_shape(out, inside, factor) == shape


def _whole_shape(leaves: Leaves, name: str) -> tuple[int, int]:
    """The edges of a factor that may be a product."""
    first, second = (leaves[name],) * 2 if name in leaves else (leaves[f"{name}_a"], leaves[f"{name}_b"])
    return len(first), second.shape[1]


_CONFIGS = {"lora": _lora, "loha": _loha, "lokr": _lokr}
