"""What a block of OmniGen keeps for its backward pass, by arithmetic; no torch, so that memory can be planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WIDE = 4


def kept_per_token(config: Mapping[str, Any], itemsize: int, *, adapted: bool) -> int:
    """Bytes that one block keeps for each token when it is not recomputed, from the keys of ``config.json``.

    Frozen linears need none of their inputs, so what is kept are the inputs of both norms, query, key, value, what
    attention gives, and gate and up; ``adapted``: also the inputs of all six linears, for the adapter on them.
    ``itemsize`` is the bytes of a number; the sums over heads and the norms' scales are always float32.
    """
    hidden, feed_forward = int(config["hidden_size"]), int(config["intermediate_size"])
    heads = int(config["num_attention_heads"])
    key_value = hidden // heads * int(config["num_key_value_heads"])
    numbers = 4 * hidden + 2 * key_value + 2 * feed_forward
    if adapted:
        numbers += 3 * hidden + feed_forward
    return numbers * itemsize + (heads + 2) * _WIDE


def entry_per_token(config: Mapping[str, Any], itemsize: int) -> int:
    """Bytes that a recomputed block keeps for each token: its input."""
    return int(config["hidden_size"]) * itemsize
