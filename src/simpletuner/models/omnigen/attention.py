"""One block of OmniGen: attention without a dense mask, then the feed-forward.

No row needs a dense mask: text attends causally to text, image tokens attend to everything. A row is padded with text
on the left and with image tokens on the right.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers import OmniGenTransformer2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_omnigen import OmniGenBlock
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from simpletuner.models.omnigen.prompt import PromptBatch, positions, text_mask
from simpletuner.models.omnigen.rotary import RotaryTables, rotary_tables


class Sequence(NamedTuple):
    """What every block needs beside the hidden states, made once per pass.

    ``text`` is the number of text and time columns at the front (T + 1); ``text_mask`` (B, 1, T + 1, T + 1) bool;
    ``key_mask`` (B, 1, 1, S) bool for the image queries, or None when no row is padded, so that a flash kernel runs.
    """

    text: int
    rotary: RotaryTables
    text_mask: Tensor
    key_mask: Tensor | None


def sequence_of(model: OmniGenTransformer2DModel, prompts: PromptBatch, image_lengths: Tensor) -> Sequence:
    """The sequence of ``prompts`` and rows of ``image_lengths`` (B,) image tokens."""
    lengths = prompts.lengths + 1 + image_lengths
    return Sequence(
        text=prompts.ids.shape[1] + 1,
        rotary=rotary_tables(model.rope, positions(prompts, int(image_lengths.max())), lengths),
        text_mask=text_mask(prompts),
        key_mask=key_mask(prompts, image_lengths),
    )


def key_mask(prompts: PromptBatch, image_lengths: Tensor) -> Tensor | None:
    """What image queries may look at, (B, 1, 1, S) bool: every text, time and image token that is not padding.

    ``image_lengths`` (B,) counts each row's image tokens. None when no row is padded, with text or with image.
    """
    width = int(image_lengths.max())
    if not prompts.is_ragged and bool((image_lengths == width).all()):
        return None
    device = prompts.ids.device
    of_image = torch.arange(width, device=device) < image_lengths.to(device)[:, None]
    return torch.cat((pad(prompts.valid(), (0, 1), value=True), of_image), dim=1)[:, None, None]


def _heads(states: Tensor, size: int) -> Tensor:
    return states.unflatten(-1, (-1, size)).transpose(1, 2)


def attend(attention: Attention, hidden: Tensor, sequence: Sequence) -> Tensor:
    """Self-attention of one block, (B, S, d) to (B, S, d), in two calls: text queries, then image queries."""
    query = attention.to_q(hidden)
    size = query.shape[-1] // attention.heads
    query = sequence.rotary.rotate(_heads(query, size))
    key = sequence.rotary.rotate(_heads(attention.to_k(hidden), size))
    value = _heads(attention.to_v(hidden), size)
    grouped = key.shape[1] != query.shape[1]
    text = sequence.text
    of_text = scaled_dot_product_attention(
        query[:, :, :text], key[:, :, :text], value[:, :, :text], attn_mask=sequence.text_mask, enable_gqa=grouped
    )
    of_image = scaled_dot_product_attention(
        query[:, :, text:], key, value, attn_mask=sequence.key_mask, enable_gqa=grouped
    )
    mixed: Tensor = attention.to_out[0](torch.cat((of_text, of_image), dim=2).transpose(1, 2).flatten(2))
    return mixed


def run_block(block: OmniGenBlock, hidden: Tensor, sequence: Sequence) -> Tensor:
    """One block, (B, S, d) to (B, S, d)."""
    hidden = hidden + attend(block.self_attn, block.input_layernorm(hidden), sequence)
    fed: Tensor = block.mlp(block.post_attention_layernorm(hidden))
    return hidden + fed
