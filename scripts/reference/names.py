"""The official package's names of weights in diffusers' layout; needs neither package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

_OUTSIDE = {
    "x_embedder.proj": "patch_embedding.output_image_proj",
    "input_x_embedder.proj": "patch_embedding.input_image_proj",
    "time_token.mlp.0": "time_token.linear_1",
    "time_token.mlp.2": "time_token.linear_2",
    "t_embedder.mlp.0": "t_embedder.linear_1",
    "t_embedder.mlp.2": "t_embedder.linear_2",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
    "final_layer.linear": "proj_out",
    "llm.embed_tokens": "embed_tokens",
    "llm.norm": "norm",
}


def to_diffusers(official: Mapping[str, Tensor], heads: int, key_value_heads: int) -> dict[str, Tensor]:
    """Weights, or their gradients, under diffusers' names; the fused projection of a block becomes three."""
    return {
        name: value for old, tensor in official.items() for name, value in _renamed(old, tensor, heads, key_value_heads)
    }


def _renamed(old: str, tensor: Tensor, heads: int, key_value_heads: int) -> Iterator[tuple[str, Tensor]]:
    module, leaf = old.rsplit(".", 1)
    if module in _OUTSIDE:
        yield f"{_OUTSIDE[module]}.{leaf}", tensor
        return
    path = module.removeprefix("llm.")
    if path.endswith(".qkv_proj"):
        size = tensor.shape[0] // (heads + 2 * key_value_heads)
        parts = tensor.split([heads * size, key_value_heads * size, key_value_heads * size])
        for name, part in zip(("to_q", "to_k", "to_v"), parts, strict=True):
            yield f"{path.removesuffix('qkv_proj')}{name}.{leaf}", part
    else:
        yield f"{path.replace('.o_proj', '.to_out.0')}.{leaf}", tensor
