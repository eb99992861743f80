"""Into OmniGen's sequence and out of it: latents to image tokens and back, prompts, their pictures and time."""

from __future__ import annotations

import torch
from diffusers import OmniGenTransformer2DModel
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from simpletuner.core.batch import Sizes
from simpletuner.models.omnigen.prompt import PromptBatch


def image_tokens(
    model: OmniGenTransformer2DModel, latents: Tensor, sizes: Sizes | None
) -> tuple[Tensor, tuple[int, ...]]:
    """Image tokens (B, N, d), with zeros after a row's own, and their true number in each row."""
    if sizes is None:
        image = model.patch_embedding(latents, is_input_image=False)
        return image, (image.shape[1],) * len(image)
    crops = [latents[row : row + 1, :, :height, :width] for row, (height, width) in enumerate(sizes)]
    # Each crop alone, because the table of positions is centred on the picture.
    rows = [tokens[0] for tokens in model.patch_embedding(crops, is_input_image=False)]
    return pad_sequence(rows, batch_first=True), tuple(len(row) for row in rows)


def _text_tokens(model: OmniGenTransformer2DModel, prompts: PromptBatch, dtype: torch.dtype) -> Tensor:
    """Tokens (B, T, d) of the prompts, those of their input pictures in their places."""
    text = model.embed_tokens(prompts.ids).to(dtype)
    if not prompts.pictures:
        return text
    latents = [picture.latents[None].to(dtype) for picture in prompts.pictures]
    text = text.clone()
    for picture, tokens in zip(prompts.pictures, model.patch_embedding(latents, is_input_image=True), strict=True):
        text[picture.row, picture.start : picture.stop] = tokens[0]
    return text


def embed(
    model: OmniGenTransformer2DModel, image: Tensor, clock: Tensor, prompts: PromptBatch
) -> tuple[Tensor, Tensor]:
    """Hidden states (B, T + 1 + N, d) of text, time and ``image`` (B, N, d), and the time that the last norm takes."""
    projected = model.time_proj(clock).to(image.dtype)
    text = _text_tokens(model, prompts, image.dtype)
    hidden = torch.cat((text, model.time_token(projected)[:, None], image), dim=1)
    return hidden, model.t_embedder(projected)


def _unpatch(patches: Tensor, height: int, width: int, patch: int) -> Tensor:
    grid = patches.unflatten(1, (height // patch, width // patch)).unflatten(-1, (patch, patch, -1))
    return grid.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def pictures(patches: Tensor, height: int, width: int, patch: int, sizes: Sizes | None) -> Tensor:
    """Tokens (B, N, 4 patch^2) as (B, 4, height, width), zero outside a row's own size."""
    if sizes is None:
        return _unpatch(patches, height, width, patch)
    rows = [
        pad(_unpatch(row[None, : h * w // patch**2], h, w, patch), (0, width - w, 0, height - h))
        for row, (h, w) in zip(patches, sizes, strict=True)
    ]
    return torch.cat(rows)
