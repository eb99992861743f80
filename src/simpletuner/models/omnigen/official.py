"""OmniGen as the official package (PyPI ``omnigen`` 1.0.3) names and stores it: queries, keys and values are one layer.

The package reads ``config.json`` (transformers' Phi3Config) and ``model.safetensors``, every name of it and no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from simpletuner.models.official import Whole
from simpletuner.models.omnigen.layers import linear_shapes

_OUTSIDE = {
    "patch_embedding.output_image_proj": "x_embedder.proj",
    "patch_embedding.input_image_proj": "input_x_embedder.proj",
    "time_token.linear_1": "time_token.mlp.0",
    "time_token.linear_2": "time_token.mlp.2",
    "t_embedder.linear_1": "t_embedder.mlp.0",
    "t_embedder.linear_2": "t_embedder.mlp.2",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "proj_out": "final_layer.linear",
    "embed_tokens": "llm.embed_tokens",
    "norm": "llm.norm",
}
_POSITIONS, _OFFICIAL_POSITIONS = "patch_embedding.pos_embed", "pos_embed"
_PARTS = ("to_q", "to_k", "to_v")
_FUSED = "qkv_proj"
_WEIGHTS = "model.safetensors"
_SAME = (
    *("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "rms_norm_eps", "vocab_size"),
    *("max_position_embeddings", "original_max_position_embeddings", "pad_token_id"),
)


class OmniGenOfficial:
    """See :class:`simpletuner.models.official.OfficialLayout`."""

    def wholes(self, config: Mapping[str, Any]) -> tuple[Whole, ...]:
        """The four linears of every block: the first three of diffusers' six are one."""
        grouped: dict[str, list[tuple[str, int]]] = {}
        for shape in linear_shapes(config):
            grouped.setdefault(_official_path(shape.path), []).append((shape.path, shape.out_features))
        return tuple(Whole(path, tuple(parts)) for path, parts in grouped.items())

    def save(self, denoiser: nn.Module, folder: Path, dtype: torch.dtype) -> None:
        """``config.json`` and ``model.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.to(dtype) for name, value in to_official(denoiser.state_dict()).items()}
        save_file({name: value.contiguous() for name, value in weights.items()}, folder / _WEIGHTS)
        config: Any = denoiser.config
        (folder / "config.json").write_text(json.dumps(_phi3(config), indent=2) + "\n", encoding="utf-8")

    def load(self, folder: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
        """The weights under diffusers' names; ``config`` is the transformer's."""
        return from_official(load_file(folder / _WEIGHTS), config)


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the official names, those of queries, keys and values joined."""
    found: dict[str, list[Tensor]] = {}
    for name, value in state.items():
        found.setdefault(_official_name(name), []).append(value)
    # diffusers keeps to_q, to_k and to_v in the order in which the package stacks them; the state need not.
    for name in found:
        if f".{_FUSED}." in name:
            path, leaf = name.removeprefix("llm.").split(_FUSED)
            found[name] = [state[f"{path}{part}{leaf}"] for part in _PARTS]
    return {name: values[0] if len(values) == 1 else torch.cat(values) for name, values in found.items()}


def from_official(official: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """:func:`to_official` backwards; ``config`` is the transformer's, which knows the heads."""
    return {name: value for old, tensor in official.items() for name, value in _parts(old, tensor, config)}


def _official_name(name: str) -> str:
    if name == _POSITIONS:
        return _OFFICIAL_POSITIONS
    module, leaf = name.rsplit(".", 1)
    return f"{_official_path(module)}.{leaf}"


def _official_path(path: str) -> str:
    if path in _OUTSIDE:
        return _OUTSIDE[path]
    before, _, last = path.rpartition(".")
    if last in _PARTS:
        return f"llm.{before}.{_FUSED}"
    return f"llm.{path.replace('.to_out.0', '.o_proj')}"


def _parts(old: str, tensor: Tensor, config: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    if old == _OFFICIAL_POSITIONS:
        yield _POSITIONS, tensor
        return
    module, leaf = old.rsplit(".", 1)
    ours = {official: name for name, official in _OUTSIDE.items()}.get(module)
    if ours is not None:
        yield f"{ours}.{leaf}", tensor
        return
    path = module.removeprefix("llm.")
    if not path.endswith(_FUSED):
        yield f"{path.replace('.o_proj', '.to_out.0')}.{leaf}", tensor
        return
    heads, shared = int(config["num_attention_heads"]), int(config["num_key_value_heads"])
    size = len(tensor) // (heads + 2 * shared)
    pieces = tensor.split([heads * size, shared * size, shared * size])
    for part, piece in zip(_PARTS, pieces, strict=True):
        yield f"{path.removesuffix(_FUSED)}{part}.{leaf}", piece


def _phi3(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the package's body. ``use_cache`` and dropout are as in the published file."""
    kept = {key: config[key] for key in _SAME}
    return {
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        **kept,
        "num_hidden_layers": config["num_layers"],
        "rope_theta": float(config["rope_base"]),
        "rope_scaling": {"type": "su", **config["rope_scaling"]},
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
        "use_cache": True,
    }
