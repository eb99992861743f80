"""OmniGen's layers by name and shape, in the diffusers layout; no torch, so that `check` can count an adapter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simpletuner.core.linears import LinearShape
from simpletuner.models.facts import FamilyFacts, Flavour
from simpletuner.models.omnigen.token_count import count_tokens

BLOCK = "OmniGenBlock"
ATTENTION = "Attention"
FEED_FORWARD = "OmniGenFeedForward"
TINY_FOLDER = Path(__file__).parent / "tiny"
_BEFORE = (
    "patch_embedding patch_embedding.output_image_proj patch_embedding.input_image_proj time_proj "
    "time_token time_token.linear_1 time_token.act time_token.linear_2 "
    "t_embedder t_embedder.linear_1 t_embedder.act t_embedder.linear_2 embed_tokens rope layers"
).split()
_IN_BLOCK = (
    "input_layernorm self_attn self_attn.to_q self_attn.to_k self_attn.to_v self_attn.to_out self_attn.to_out.0 "
    "self_attn.to_out.1 post_attention_layernorm mlp mlp.gate_up_proj mlp.down_proj mlp.activation_fn"
).split()
# SPEC 4.3.
_V1 = {
    "hidden_size": 3072,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "num_layers": 32,
    "intermediate_size": 8192,
    "vocab_size": 32064,
    "in_channels": 4,
    "patch_size": 2,
    "time_step_dim": 256,
}
_AFTER = "norm norm_out norm_out.silu norm_out.linear norm_out.norm proj_out".split()


def _block_shapes(index: int, hidden: int, key_value: int, feed_forward: int) -> Iterator[LinearShape]:
    attention, mlp = f"layers.{index}.self_attn", f"layers.{index}.mlp"
    around_attention, around_mlp = (BLOCK, ATTENTION), (BLOCK, FEED_FORWARD)
    yield LinearShape(f"{attention}.to_q", around_attention, hidden, hidden)
    yield LinearShape(f"{attention}.to_k", around_attention, key_value, hidden)
    yield LinearShape(f"{attention}.to_v", around_attention, key_value, hidden)
    yield LinearShape(f"{attention}.to_out.0", around_attention, hidden, hidden)
    yield LinearShape(f"{mlp}.gate_up_proj", around_mlp, 2 * feed_forward, hidden)
    yield LinearShape(f"{mlp}.down_proj", around_mlp, hidden, feed_forward)


def block_count(config: Mapping[str, Any]) -> int:
    """The transformer blocks, from the keys of the transformer's ``config.json``."""
    return int(config["num_layers"])


def linear_shapes(config: Mapping[str, Any]) -> tuple[LinearShape, ...]:
    """The six linears of every block, from the keys of the transformer's ``config.json``."""
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    key_value = hidden // heads * int(config["num_key_value_heads"])
    blocks = range(block_count(config))
    feed_forward = int(config["intermediate_size"])
    return tuple(shape for index in blocks for shape in _block_shapes(index, hidden, key_value, feed_forward))


def module_paths(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The dotted paths of all modules, from the keys of the transformer's ``config.json``; the root has none."""
    blocks = [f"layers.{index}" for index in range(block_count(config))]
    inside = [path for block in blocks for path in (block, *(f"{block}.{name}" for name in _IN_BLOCK))]
    return (*_BEFORE, *inside, *_AFTER)


def weight_shapes(config: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    """The shape of every weight, from the keys of the transformer's ``config.json``."""
    hidden, patch, channels = int(config["hidden_size"]), int(config["patch_size"]), int(config["in_channels"])
    clock, pixels = int(config["time_step_dim"]), patch * patch * channels
    linears = [(shape.out_features, shape.in_features) for shape in linear_shapes(config)]
    embedding = [(hidden, channels, patch, patch), (hidden,)]
    time = [(hidden, clock), (hidden,), (hidden, hidden), (hidden,)]
    norms = [(hidden,)] * (2 * block_count(config) + 1)
    out = [(2 * hidden, hidden), (2 * hidden,), (pixels, hidden), (pixels,)]
    return ((int(config["vocab_size"]), hidden), *embedding * 2, *time * 2, *linears, *norms, *out)


FACTS = FamilyFacts(
    name="omnigen",
    flavours={
        "v1": Flavour(source="Shitao/OmniGen-v1-diffusers", builtin_negative=True, transformer=_V1),
        "tiny": Flavour(source=TINY_FOLDER, builtin_negative=False),
    },
    default_flavour="v1",
    side_multiple=16,
    native_edge=1024,
    longest_edge=192 * 16,
    class_aliases={"FeedForward": FEED_FORWARD},
    module_classes=("AdaLayerNorm", ATTENTION, "Linear", "ModuleList", BLOCK, FEED_FORWARD, "TimestepEmbedding"),
    linear_shapes=linear_shapes,
    module_paths=module_paths,
    block_count=block_count,
    weight_shapes=weight_shapes,
    count_tokens=count_tokens,
    advised_tokens=122,
    clock_begins_at_noise=True,
)
