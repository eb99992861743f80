"""OmniGen's rotary tables, one per row: Phi-3's "su" scaling with short or long factors by the row's own length.

diffusers takes row 0's positions for the whole batch and switches all rows to the long factors when the longest
row passes 4096; here a row's tables depend on that row alone.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from diffusers.models.transformers.transformer_omnigen import OmniGenSuScaledRotaryEmbedding
from torch import Tensor
from torch.autograd import Function

from simpletuner.models.omnigen.prompt import PromptBatch, on_device, positions

# Tables grow by this many positions, so that captions of all lengths meet few sizes.
_GRAIN = 1024


class RotaryTables(NamedTuple):
    """``cos`` (B, S, 1, D) and ``sin`` (B, S, 1, D / 2), float32, to be broadcast over heads; B is 1 for equal rows."""

    cos: Tensor
    sin: Tensor

    def rotate(self, states: Tensor) -> Tensor:
        """Rotate queries or keys (B, S, heads, D) in float32 and give them back in their own type.

        Of fewer than S columns, they are the last ones.
        """
        start = self.cos.shape[1] - states.shape[1]
        turned: Tensor = _Rotation.apply(states, self.cos[:, start:], self.sin[:, start:])  # type: ignore[no-untyped-call]
        return turned


class _Rotation(Function):
    """The gradient of a rotation is the rotation back, so nothing but the tables is kept for it."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(states, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(gradient, cos, sin, -1), None, None


def _turned(states: Tensor, cos: Tensor, sin: Tensor, sign: int) -> Tensor:
    half = states.shape[-1] // 2
    turned = states * cos
    turned[..., :half].addcmul_(states[..., half:], sin, value=-sign)
    turned[..., half:].addcmul_(states[..., :half], sin, value=sign)
    return turned.to(states.dtype)


class RotaryStore:
    """The tables of a model: each position's turn is computed once for a device and looked up from then on."""

    def __init__(self, rope: OmniGenSuScaledRotaryEmbedding) -> None:
        """``rope`` gives the formula's numbers."""
        self._rope = rope
        self._known: dict[tuple[torch.device, bool], RotaryTables] = {}

    def tables(self, prompts: PromptBatch, image_lengths: tuple[int, ...]) -> RotaryTables:
        """The rows of ``prompts`` with ``image_lengths`` image tokens.

        A row of more than ``original_max_position_embeddings`` tokens takes the long factors, a shorter one the short.
        """
        device, widest = prompts.ids.device, max(image_lengths)
        width = prompts.ids.shape[1] + 1 + widest
        rows_of = zip(prompts.lengths, image_lengths, strict=True)
        limit = self._rope.original_max_position_embeddings
        is_long = [text + 1 + image > limit for text, image in rows_of]
        kinds = {kind: self._upto(width, device, is_long=kind) for kind in set(is_long)}
        if len(kinds) == 1 and not prompts.is_ragged:
            (only,) = kinds.values()
            return RotaryTables(only.cos[None, :width], only.sin[None, :width])
        places = positions(prompts, widest)
        rows = {kind: (known.cos[places], known.sin[places]) for kind, known in kinds.items()}
        if len(rows) == 1:
            return RotaryTables(*rows.popitem()[1])
        choice = on_device(is_long, device).bool()[:, None, None, None]
        return RotaryTables(
            *(torch.where(choice, long, short) for long, short in zip(rows[True], rows[False], strict=True))
        )

    def _upto(self, width: int, device: torch.device, *, is_long: bool) -> RotaryTables:
        """Tables of the first ``width`` positions or more, (S, 1, D) and (S, 1, D / 2)."""
        known = self._known.get((device, is_long))
        if known is None or len(known.cos) < width:
            # Made for training too, even if pictures of validation meet them first.
            with torch.inference_mode(mode=False), torch.no_grad():
                known = _tables(self._rope, math.ceil(width / _GRAIN) * _GRAIN, device, is_long=is_long)
            self._known[device, is_long] = known
        return known


def _tables(rope: OmniGenSuScaledRotaryEmbedding, count: int, device: torch.device, *, is_long: bool) -> RotaryTables:
    factor = torch.tensor(rope.long_factor if is_long else rope.short_factor, dtype=torch.float32, device=device)
    exponents = torch.arange(0, rope.dim, 2, dtype=torch.float32, device=device) / rope.dim
    frequencies = 1.0 / (factor * rope.base**exponents)
    angles = torch.arange(count, device=device)[:, None, None].float() * frequencies
    magnitude = _magnitude(rope)
    cos = angles.cos() * magnitude
    return RotaryTables(torch.cat((cos, cos), dim=-1), angles.sin() * magnitude)


def _magnitude(rope: OmniGenSuScaledRotaryEmbedding) -> float:
    scale = rope.max_position_embeddings / rope.original_max_position_embeddings
    if scale <= 1.0:
        return 1.0
    return math.sqrt(1 + math.log(scale) / math.log(rope.original_max_position_embeddings))
