"""OmniGen's rotary tables, one per row: Phi-3's "su" scaling with short or long factors by the row's own length.

diffusers takes row 0's positions for the whole batch and switches all rows to the long factors when the longest
row passes 4096; here a row's tables depend on that row alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from diffusers.models.transformers.transformer_omnigen import OmniGenSuScaledRotaryEmbedding
from torch import Tensor


class RotaryTables(NamedTuple):
    """``cos`` and ``sin``, both (B, 1, S, D) float32, to be broadcast over heads."""

    cos: Tensor
    sin: Tensor

    def rotate(self, states: Tensor) -> Tensor:
        """Rotate queries or keys (B, heads, S, D) in float32 and give them back in their own dtype."""
        wide = states.float()
        first, second = wide.chunk(2, dim=-1)
        turned = torch.cat((-second, first), dim=-1)
        return (wide * self.cos + turned * self.sin).to(states.dtype)


def _frequencies(rope: OmniGenSuScaledRotaryEmbedding, factor: list[float], device: torch.device) -> Tensor:
    exponents = torch.arange(0, rope.dim, 2, dtype=torch.float32, device=device) / rope.dim
    return 1.0 / (torch.tensor(factor, dtype=torch.float32, device=device) * rope.base**exponents)


def _magnitude(rope: OmniGenSuScaledRotaryEmbedding) -> float:
    scale = rope.max_position_embeddings / rope.original_max_position_embeddings
    if scale <= 1.0:
        return 1.0
    return math.sqrt(1 + math.log(scale) / math.log(rope.original_max_position_embeddings))


def rotary_tables(rope: OmniGenSuScaledRotaryEmbedding, positions: Tensor, row_lengths: Tensor) -> RotaryTables:
    """Tables for ``positions`` (B, S); ``row_lengths`` (B,) counts each row's tokens: text, time and image.

    A row of more than ``original_max_position_embeddings`` tokens takes the long factors, a shorter one the short.
    """
    device = positions.device
    is_long = (row_lengths.to(device) > rope.original_max_position_embeddings)[:, None]
    short = _frequencies(rope, rope.short_factor, device)
    long = _frequencies(rope, rope.long_factor, device)
    angles = positions[:, :, None].float() * torch.where(is_long, long, short)[:, None, :]
    doubled = torch.cat((angles, angles), dim=-1)[:, None]
    magnitude = _magnitude(rope)
    return RotaryTables(cos=doubled.cos() * magnitude, sin=doubled.sin() * magnitude)
