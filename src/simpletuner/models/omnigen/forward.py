"""OmniGen's forward pass over the weights of diffusers' ``OmniGenTransformer2DModel``.

The modules and their names are diffusers', so weights, adapters and hooks fit; the pass is ours, because each row
must have its own rotary positions and because no row needs a dense mask.
"""

from __future__ import annotations

import torch
from diffusers import OmniGenTransformer2DModel
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from simpletuner.core.batch import Sizes
from simpletuner.models.omnigen.attention import run_block, sequence_of
from simpletuner.models.omnigen.embed import embed, image_tokens, pictures
from simpletuner.models.omnigen.prompt import PromptBatch


def forward(
    model: OmniGenTransformer2DModel, latents: Tensor, clock: Tensor, prompts: PromptBatch, sizes: Sizes | None = None
) -> Tensor:
    """What OmniGen predicts, (B, 4, H, W): the direction from noise to image.

    ``latents`` (B, 4, H, W) noisy; ``clock`` (B,) OmniGen's own time, 0 noise and 1 image. With ``sizes``, even
    numbers, each row is computed as if it were alone, and its padding is never read and comes out as 0. Blocks are
    recomputed in the backward pass when the model's gradient checkpointing is on.
    """
    height, width = latents.shape[-2:]
    image, image_lengths = image_tokens(model, latents, sizes)
    hidden, time = embed(model, image, clock, prompts)
    sequence = sequence_of(model, prompts, image_lengths)
    recompute = model.gradient_checkpointing and torch.is_grad_enabled()
    for block in model.layers:
        if recompute:
            hidden = checkpoint(run_block, block, hidden, sequence, use_reentrant=False)
        else:
            hidden = run_block(block, hidden, sequence)
    patches = model.proj_out(model.norm_out(model.norm(hidden[:, -image.shape[1] :]), temb=time))
    return pictures(patches, height, width, model.config.patch_size, sizes)
