"""OmniGen's forward pass over the weights of diffusers' ``OmniGenTransformer2DModel``.

The modules and their names are diffusers', so weights, adapters and hooks fit; the pass is ours, because each row
must have its own rotary positions and because no row needs a dense mask: text attends causally to text, image
tokens attend to everything. A row is padded with text on the left and with image tokens on the right.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers import OmniGenTransformer2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_omnigen import OmniGenBlock
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from simpletuner.core.batch import Sizes
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


def _sequence(model: OmniGenTransformer2DModel, prompts: PromptBatch, image_lengths: Tensor) -> Sequence:
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


def _block(block: OmniGenBlock, hidden: Tensor, sequence: Sequence) -> Tensor:
    hidden = hidden + attend(block.self_attn, block.input_layernorm(hidden), sequence)
    fed: Tensor = block.mlp(block.post_attention_layernorm(hidden))
    return hidden + fed


def _patches(model: OmniGenTransformer2DModel, latents: Tensor, sizes: Sizes | None) -> tuple[Tensor, Tensor]:
    """Image tokens (B, N, d), with zeros after a row's own, and their true number a row, (B,) on the CPU."""
    if sizes is None:
        image = model.patch_embedding(latents, is_input_image=False)
        return image, torch.full((len(image),), image.shape[1])
    crops = [latents[row : row + 1, :, :height, :width] for row, (height, width) in enumerate(sizes)]
    # Each crop alone, because the table of positions is centred on the picture.
    rows = [tokens[0] for tokens in model.patch_embedding(crops, is_input_image=False)]
    return pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])


def _embed(
    model: OmniGenTransformer2DModel, image: Tensor, clock: Tensor, prompts: PromptBatch
) -> tuple[Tensor, Tensor]:
    projected = model.time_proj(clock).to(image.dtype)
    text = model.embed_tokens(prompts.ids).to(image.dtype)
    hidden = torch.cat((text, model.time_token(projected)[:, None], image), dim=1)
    return hidden, model.t_embedder(projected)


def _unpatch(patches: Tensor, height: int, width: int, patch: int) -> Tensor:
    grid = patches.unflatten(1, (height // patch, width // patch)).unflatten(-1, (patch, patch, -1))
    return grid.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def _pictures(patches: Tensor, height: int, width: int, patch: int, sizes: Sizes | None) -> Tensor:
    """Tokens (B, N, 4 patch^2) as (B, 4, height, width), zero outside a row's own size."""
    if sizes is None:
        return _unpatch(patches, height, width, patch)
    rows = [
        pad(_unpatch(row[None, : h * w // patch**2], h, w, patch), (0, width - w, 0, height - h))
        for row, (h, w) in zip(patches, sizes, strict=True)
    ]
    return torch.cat(rows)


def forward(
    model: OmniGenTransformer2DModel, latents: Tensor, clock: Tensor, prompts: PromptBatch, sizes: Sizes | None = None
) -> Tensor:
    """What OmniGen predicts, (B, 4, H, W): the direction from noise to image.

    ``latents`` (B, 4, H, W) noisy; ``clock`` (B,) OmniGen's own time, 0 noise and 1 image. With ``sizes``, even
    numbers, each row is computed as if it were alone, and its padding is never read and comes out as 0. Blocks are
    recomputed in the backward pass when the model's gradient checkpointing is on.
    """
    height, width = latents.shape[-2:]
    image, image_lengths = _patches(model, latents, sizes)
    hidden, time = _embed(model, image, clock, prompts)
    image_tokens = image.shape[1]
    sequence = _sequence(model, prompts, image_lengths)
    recompute = model.gradient_checkpointing and torch.is_grad_enabled()
    for block in model.layers:
        if recompute:
            hidden = checkpoint(_block, block, hidden, sequence, use_reentrant=False)
        else:
            hidden = _block(block, hidden, sequence)
    patches = model.proj_out(model.norm_out(model.norm(hidden[:, -image_tokens:]), temb=time))
    return _pictures(patches, height, width, model.config.patch_size, sizes)
