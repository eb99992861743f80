"""OmniGen's layers by name and shape, in the diffusers layout; no torch, so that `check` can count an adapter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simpletuner.core.linears import LinearShape
from simpletuner.models.facts import FamilyFacts, Flavour

BLOCK = "OmniGenBlock"
ATTENTION = "Attention"
FEED_FORWARD = "OmniGenFeedForward"
TINY_FOLDER = Path(__file__).parent / "tiny"


def _block_shapes(index: int, hidden: int, key_value: int, feed_forward: int) -> Iterator[LinearShape]:
    attention, mlp = f"layers.{index}.self_attn", f"layers.{index}.mlp"
    around_attention, around_mlp = (BLOCK, ATTENTION), (BLOCK, FEED_FORWARD)
    yield LinearShape(f"{attention}.to_q", around_attention, hidden, hidden)
    yield LinearShape(f"{attention}.to_k", around_attention, key_value, hidden)
    yield LinearShape(f"{attention}.to_v", around_attention, key_value, hidden)
    yield LinearShape(f"{attention}.to_out.0", around_attention, hidden, hidden)
    yield LinearShape(f"{mlp}.gate_up_proj", around_mlp, 2 * feed_forward, hidden)
    yield LinearShape(f"{mlp}.down_proj", around_mlp, hidden, feed_forward)


def linear_shapes(config: Mapping[str, Any]) -> tuple[LinearShape, ...]:
    """The six linears of every block, from the keys of the transformer's ``config.json``."""
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    key_value = hidden // heads * int(config["num_key_value_heads"])
    blocks = range(int(config["num_layers"]))
    feed_forward = int(config["intermediate_size"])
    return tuple(shape for index in blocks for shape in _block_shapes(index, hidden, key_value, feed_forward))


FACTS = FamilyFacts(
    name="omnigen",
    flavours={
        "v1": Flavour(source="Shitao/OmniGen-v1-diffusers", builtin_negative=True),
        "tiny": Flavour(source=TINY_FOLDER, builtin_negative=False),
    },
    default_flavour="v1",
    side_multiple=16,
    native_edge=1024,
    longest_edge=192 * 16,
    class_aliases={"FeedForward": FEED_FORWARD},
    linear_shapes=linear_shapes,
)
