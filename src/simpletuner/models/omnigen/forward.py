"""OmniGen's forward pass over the weights of diffusers' ``OmniGenTransformer2DModel``.

The modules and their names are diffusers', so weights, adapters and hooks fit; the pass is ours, because each row
must have its own rotary positions and because no row needs a dense mask.
"""

from __future__ import annotations

from dataclasses import replace

from diffusers import OmniGenTransformer2DModel
from torch import Tensor
from torch.nn.functional import pad

from simpletuner.core.batch import Sizes
from simpletuner.models.omnigen.attention import sequence_of
from simpletuner.models.omnigen.denoiser import running
from simpletuner.models.omnigen.embed import embed, image_tokens, pictures
from simpletuner.models.omnigen.prompt import PAD_TOKEN_ID, PromptBatch


def forward(
    model: OmniGenTransformer2DModel, latents: Tensor, clock: Tensor, prompts: PromptBatch, sizes: Sizes | None = None
) -> Tensor:
    """What OmniGen predicts, (B, 4, H, W): the direction from noise to image.

    ``latents`` (B, 4, H, W) noisy; ``clock`` (B,) OmniGen's own time, 0 noise and 1 image. With ``sizes``, even
    numbers, each row is computed as if it were alone, and its padding is never read and comes out as 0. No value is
    read back from the device.
    """
    how = running(model)
    prompts = _widened(prompts, how.blocks.execution.text_multiple)
    height, width = latents.shape[-2:]
    image, image_lengths = image_tokens(model, latents, sizes)
    hidden, time = embed(model, image, clock, prompts)
    hidden = how.blocks(hidden, sequence_of(how.rotary, prompts, image_lengths))
    patches = model.proj_out(model.norm_out(model.norm(hidden), temb=time))
    return pictures(patches, height, width, model.config.patch_size, sizes)


def _widened(prompts: PromptBatch, multiple: int) -> PromptBatch:
    """``prompts`` padded further on the left, until text and time are a ``multiple`` of columns."""
    more = -(prompts.ids.shape[1] + 1) % multiple
    if not more:
        return prompts
    moved = tuple(replace(picture, start=picture.start + more) for picture in prompts.pictures)
    return PromptBatch(pad(prompts.ids, (more, 0), value=PAD_TOKEN_ID), prompts.lengths, moved)
