"""One prompt to one picture, with the sampler that validation and `generate` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from simpletuner.core.batch import Prompt
from simpletuner.data.cache.pixels import to_tensor
from simpletuner.diffusion.sampler import OnStep, euler, guide, guide_by_pictures
from simpletuner.models.family import Codec, ModelFamily, PreviewDecoder, TextReader
from simpletuner.validation.prompts import PromptSpec

Predict = Callable[[Tensor, Tensor, Sequence[Prompt]], Tensor]
"""``(noisy (B, C, h, w), sigma (B,), prompts) -> velocity (B, C, h, w)``."""


PICTURE_GUIDANCE = 1.6
"""What the references use when nobody says otherwise."""


@dataclass(frozen=True)
class Sampling:
    """How pictures are drawn. ``negative`` None guides away from the flavour's own text.

    ``picture_guidance`` is the strength of input pictures, where there are some.
    """

    steps: int
    guidance: float
    seed: int
    negative: str | None = None
    picture_guidance: float = PICTURE_GUIDANCE


@dataclass(frozen=True)
class Studio:
    """What it takes to draw: the model as it stands, its codec and tokenizer, and the device.

    ``adapter_digest`` names the values of the model's adapter as it stands; empty without one. ``load_preview`` gives
    what shows pictures while they are sampled; None where nobody looks.
    """

    family: ModelFamily
    predict: Predict
    codec: Codec
    text: TextReader
    device: torch.device
    adapter_digest: Callable[[], str] = lambda: ""
    load_preview: Callable[[], PreviewDecoder] | None = None


def starting_noise(family: ModelFamily, width: int, height: int, seed: int) -> Tensor:
    """The noise (1, C, h, w) that a picture grows from, drawn on the CPU so that every device sees the same.

    Any whole number is a seed.
    """
    cells = (height // family.latents.downsample, width // family.latents.downsample)
    shape = (1, family.latents.channels, *cells)
    return torch.randn(shape, generator=torch.Generator().manual_seed(_in_64_bits(seed)))


def _in_64_bits(seed: int) -> int:
    """What torch takes as it is stays so."""
    return seed if -(1 << 63) <= seed < 1 << 64 else seed % (1 << 64)


def render(
    studio: Studio,
    prompt: str,
    size: tuple[int, int],
    sampling: Sampling,
    on_step: OnStep,
    pictures: Sequence[Image.Image] = (),
) -> Image.Image:
    """Draw ``prompt`` at ``size`` (width, height), with input ``pictures``: RGB, of edges of 16 n.

    An empty prompt is the unconditional one of training. Raises DataError when the prompt names other pictures.
    """
    asked = _compared(studio, prompt, sampling, tuple(_latents(studio, picture) for picture in pictures))

    def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
        count = len(asked)
        rows = studio.predict(noisy.repeat(count, 1, 1, 1), sigma.repeat(count), asked)
        return _guided(rows, sampling)

    noise = starting_noise(studio.family, *size, sampling.seed).to(studio.device)
    return to_picture(studio.codec.decode(euler(noise, velocity, sampling.steps, on_step))[0])


def _latents(studio: Studio, picture: Image.Image) -> Tensor:
    """The mean of the posterior, (C, h, w): sampling again gives the same picture, and the spread is tiny."""
    return studio.codec.encode(to_tensor(picture)[None]).mean[0].to(studio.device)


def _compared(studio: Studio, prompt: str, sampling: Sampling, pictures: tuple[Tensor, ...]) -> tuple[Prompt, ...]:
    """The prompt; with guidance also what to avoid; and, where there are ``pictures``, these without words."""
    text, count = studio.text, len(pictures)
    asked = Prompt(text.tokenize(prompt, count) if prompt or count else text.unconditional(), pictures)
    if sampling.guidance == 1.0 and (not count or sampling.picture_guidance == 1.0):
        return (asked,)
    alone = (Prompt(text.pictures_alone(count), pictures),) if count else ()
    return (asked, Prompt(text.negative(sampling.negative)[1]), *alone)


def _guided(rows: Tensor, sampling: Sampling) -> Tensor:
    """One velocity from those of :func:`_compared`."""
    if len(rows) == 1:
        return rows
    conditional, unconditional, *pictures = rows.chunk(len(rows))
    if not pictures:
        return guide(conditional, unconditional, sampling.guidance)
    return guide_by_pictures(conditional, pictures[0], unconditional, sampling.guidance, sampling.picture_guidance)


def to_picture(pixels: Tensor) -> Image.Image:
    """Pixels (3, H, W) in [-1, 1] as an RGB picture."""
    levels = (pixels.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


def facts_of(studio: Studio, spec: PromptSpec, size: tuple[int, int], sampling: Sampling, step: int) -> dict[str, str]:
    """What is written inside a picture of ``spec`` at ``size`` (width, height), drawn at training step ``step``."""
    facts = {
        "prompt": spec.prompt,
        "seed": str(sampling.seed),
        "steps": str(sampling.steps),
        "guidance": str(sampling.guidance),
        "negative_prompt": studio.text.negative(sampling.negative)[0],
        "width": str(size[0]),
        "height": str(size[1]),
        "global_step": str(step),
    }
    if not spec.pictures:
        return facts
    named = ", ".join(picture.name for picture in spec.pictures)
    return {**facts, "input_pictures": named, "image_guidance": str(sampling.picture_guidance)}
