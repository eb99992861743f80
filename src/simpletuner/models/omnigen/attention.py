"""One block of OmniGen: attention without a dense mask, then the feed-forward.

No row needs a dense mask: text attends causally to text, image tokens attend to everything. A row is padded with text
on the left and with image tokens on the right. Rows of one length need no mask at all, so that flash kernels run.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.normalization import RMSNorm
from diffusers.models.transformers.transformer_omnigen import OmniGenBlock
from torch import Tensor
from torch.nn.functional import pad, rms_norm, scaled_dot_product_attention

from simpletuner.models.omnigen.gate import gated
from simpletuner.models.omnigen.prompt import PromptBatch, on_device, text_mask
from simpletuner.models.omnigen.rotary import RotaryStore, RotaryTables


class Sequence(NamedTuple):
    """What every block needs beside the hidden states, made once per pass.

    ``text`` is the number of text and time columns at the front (T + 1); ``text_mask`` (B, 1, T + 1, T + 1) bool, or
    None when it is plainly causal; ``key_mask`` (B, 1, 1, S) bool for the image queries, or None when no row is padded.
    """

    text: int
    rotary: RotaryTables
    text_mask: Tensor | None
    key_mask: Tensor | None


def sequence_of(rotary: RotaryStore, prompts: PromptBatch, image_lengths: tuple[int, ...]) -> Sequence:
    """The sequence of ``prompts`` and rows of ``image_lengths`` image tokens."""
    return Sequence(
        text=prompts.ids.shape[1] + 1,
        rotary=rotary.tables(prompts, image_lengths),
        text_mask=text_mask(prompts) if prompts.is_ragged or prompts.pictures else None,
        key_mask=key_mask(prompts, image_lengths),
    )


def key_mask(prompts: PromptBatch, image_lengths: tuple[int, ...]) -> Tensor | None:
    """What image queries may look at, (B, 1, 1, S) bool: every text, time and image token that is not padding.

    ``image_lengths`` counts each row's image tokens. None when no row is padded, with text or with image.
    """
    width = max(image_lengths)
    if not prompts.is_ragged and set(image_lengths) == {width}:
        return None
    device = prompts.ids.device
    of_image = torch.arange(width, device=device) < on_device(image_lengths, device)[:, None]
    return torch.cat((pad(prompts.valid(), (0, 1), value=True), of_image), dim=1)[:, None, None]


def attend(attention: Attention, hidden: Tensor, sequence: Sequence) -> Tensor:
    """Self-attention of one block, (B, S, d) to (B, S, d), in two calls: text queries, then image queries."""
    heads = (-1, hidden.shape[-1] // attention.heads)
    query, key = attention.to_q(hidden).unflatten(-1, heads), attention.to_k(hidden).unflatten(-1, heads)
    query, key = (turned.transpose(1, 2) for turned in sequence.rotary.rotate(query, key))
    value = attention.to_v(hidden).unflatten(-1, heads).transpose(1, 2)
    grouped = key.shape[1] != query.shape[1]
    text = sequence.text
    of_text, of_image = query.split((text, query.shape[2] - text), dim=2)
    of_text = scaled_dot_product_attention(
        of_text,
        key[:, :, :text],
        value[:, :, :text],
        attn_mask=sequence.text_mask,
        is_causal=sequence.text_mask is None,
        enable_gqa=grouped,
    )
    of_image = scaled_dot_product_attention(of_image, key, value, attn_mask=sequence.key_mask, enable_gqa=grouped)
    # Joined with heads behind tokens, the order in which kernels leave them and the next product wants them.
    mixed: Tensor = attention.to_out[0](
        torch.cat((of_text.transpose(1, 2), of_image.transpose(1, 2)), dim=1).flatten(2)
    )
    return mixed


def _normed(norm: RMSNorm, hidden: Tensor) -> Tensor:
    """The norm of diffusers by torch's own kernel, which wants one type."""
    if hidden.dtype != norm.weight.dtype:
        return norm(hidden)
    return rms_norm(hidden, norm.weight.shape, norm.weight, norm.eps)


def run_block(block: OmniGenBlock, hidden: Tensor, sequence: Sequence) -> Tensor:
    """One block, (B, S, d) to (B, S, d)."""
    hidden = hidden + attend(block.self_attn, _normed(block.input_layernorm, hidden), sequence)
    gate_and_up = block.mlp.gate_up_proj(_normed(block.post_attention_layernorm, hidden))
    fed: Tensor = block.mlp.down_proj(gated(gate_and_up))
    return hidden + fed
