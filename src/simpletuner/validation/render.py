"""One prompt to one picture, with the sampler that validation and `generate` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from simpletuner.diffusion.sampler import euler, guide
from simpletuner.models.family import Codec, ModelFamily, TextReader

Predict = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]
"""``(noisy (B, C, h, w), sigma (B,), prompts) -> velocity (B, C, h, w)``."""


@dataclass(frozen=True)
class Sampling:
    """How pictures are drawn. ``negative`` None guides away from the flavour's own text."""

    steps: int
    guidance: float
    seed: int
    negative: str | None = None


@dataclass(frozen=True)
class Studio:
    """What it takes to draw: the model as it stands, its codec and tokenizer, and the device."""

    family: ModelFamily
    predict: Predict
    codec: Codec
    text: TextReader
    device: torch.device


def starting_noise(family: ModelFamily, width: int, height: int, seed: int) -> Tensor:
    """The noise (1, C, h, w) that a picture grows from, drawn on the CPU so that every device sees the same."""
    cells = (height // family.latents.downsample, width // family.latents.downsample)
    shape = (1, family.latents.channels, *cells)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def render(
    studio: Studio, prompt: str, size: tuple[int, int], sampling: Sampling, on_step: Callable[[int], None]
) -> Image.Image:
    """Draw ``prompt`` at ``size`` (width, height). An empty prompt is the unconditional one of training."""
    asked = studio.text.tokenize(prompt) if prompt else studio.text.unconditional()
    negative = studio.text.negative(sampling.negative)[1]
    guided = sampling.guidance != 1.0

    def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
        if not guided:
            return studio.predict(noisy, sigma, (asked,))
        both = studio.predict(torch.cat((noisy, noisy)), torch.cat((sigma, sigma)), (asked, negative))
        conditional, unconditional = both.chunk(2)
        return guide(conditional, unconditional, sampling.guidance)

    noise = starting_noise(studio.family, *size, sampling.seed).to(studio.device)
    return to_picture(studio.codec.decode(euler(noise, velocity, sampling.steps, on_step))[0])


def to_picture(pixels: Tensor) -> Image.Image:
    """Pixels (3, H, W) in [-1, 1] as an RGB picture."""
    levels = (pixels.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())
