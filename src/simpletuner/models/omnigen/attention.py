"""One block of OmniGen: attention without a dense mask, then the feed-forward.

No row needs a dense mask: text attends causally to text, image tokens attend to everything. A row is padded with text
on the left and with image tokens on the right. Rows of one length need no mask at all, so that flash kernels run.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_omnigen import OmniGenBlock
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from simpletuner.models.omnigen.gate import gated
from simpletuner.models.omnigen.norm import normed
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
    query = _turned(attention, attention.to_q(hidden), sequence)
    key = _turned(attention, attention.to_k(hidden), sequence)
    value = _heads(attention, attention.to_v(hidden)).transpose(1, 2)
    text = sequence.text
    of_text, of_image = query.split((text, query.shape[2] - text), dim=2)
    of_text = scaled_dot_product_attention(
        of_text,
        key[:, :, :text],
        value[:, :, :text],
        attn_mask=sequence.text_mask,
        is_causal=sequence.text_mask is None,
        enable_gqa=key.shape[1] != query.shape[1],
    )
    of_image = _by_image(of_image, key, value, sequence)
    # Joined with heads behind tokens, the order in which kernels leave them and the next product wants them.
    mixed: Tensor = attention.to_out[0](
        torch.cat((of_text.transpose(1, 2), of_image.transpose(1, 2)), dim=1).flatten(2)
    )
    return mixed


def attend_by_image(attention: Attention, hidden: Tensor, sequence: Sequence) -> Tensor:
    """The image rows (B, N, d) of :func:`attend`."""
    query = _turned(attention, attention.to_q(hidden[:, sequence.text :]), sequence)
    key = _turned(attention, attention.to_k(hidden), sequence)
    value = _heads(attention, attention.to_v(hidden)).transpose(1, 2)
    mixed: Tensor = attention.to_out[0](_by_image(query, key, value, sequence).transpose(1, 2).flatten(2))
    return mixed


def _heads(attention: Attention, states: Tensor) -> Tensor:
    """(B, S, heads * D) to (B, S, heads, D)."""
    return states.unflatten(-1, (-1, attention.to_q.out_features // attention.heads))


def _turned(attention: Attention, states: Tensor, sequence: Sequence) -> Tensor:
    """Queries or keys in their heads and turned, (B, heads, S, D)."""
    return sequence.rotary.rotate(_heads(attention, states)).transpose(1, 2)


def _by_image(query: Tensor, key: Tensor, value: Tensor, sequence: Sequence) -> Tensor:
    return scaled_dot_product_attention(
        query, key, value, attn_mask=sequence.key_mask, enable_gqa=key.shape[1] != query.shape[1]
    )


def run_block(block: OmniGenBlock, hidden: Tensor, sequence: Sequence) -> Tensor:
    """One block, (B, S, d) to (B, S, d)."""
    return _fed(block, hidden + attend(block.self_attn, normed(block.input_layernorm, hidden), sequence))


def run_last_block(block: OmniGenBlock, hidden: Tensor, sequence: Sequence) -> Tensor:
    """The image rows (B, N, d) of :func:`run_block`: nothing reads the text behind the last block."""
    attended = attend_by_image(block.self_attn, normed(block.input_layernorm, hidden), sequence)
    return _fed(block, hidden[:, sequence.text :] + attended)


def _fed(block: OmniGenBlock, hidden: Tensor) -> Tensor:
    gate_and_up = block.mlp.gate_up_proj(normed(block.post_attention_layernorm, hidden))
    fed: Tensor = block.mlp.down_proj(gated(gate_and_up))
    return hidden + fed
