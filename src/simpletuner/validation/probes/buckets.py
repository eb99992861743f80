"""How well a model knows each shape of picture: its loss on the same pictures, cut to one shape after another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from simpletuner.core.batch import Prompt
from simpletuner.core.seeds import generator
from simpletuner.data.cache.pixels import to_tensor
from simpletuner.data.files.images import resize_and_crop
from simpletuner.data.places.crops import plan_crop
from simpletuner.data.places.geometry import Placement, Size, cover
from simpletuner.diffusion.flow import mix, velocity
from simpletuner.validation.loss.paired import Mean, difference, mean_of
from simpletuner.validation.render import Studio

ASPECTS = ((1, 1), (5, 4), (4, 5), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16))
_SIGMAS = 8
_DRAWS = 2


@dataclass(frozen=True, eq=False)
class Subject:
    """A picture and what it is asked for with."""

    name: str
    prompt: str
    image: Image.Image


@dataclass(frozen=True)
class Shape:
    """What was found of one size: the mean loss with its error, how much of the target's variance is ``explained``, and
    by how much the loss lies above the square's on the same pictures.
    """

    size: Size
    loss: Mean
    explained: float
    above_square: Mean


@dataclass(frozen=True)
class Measured:
    """The loss of each picture, and the variance of each one's target."""

    losses: tuple[float, ...]
    variances: tuple[float, ...]


def sizes(edge: int, multiple: int) -> tuple[Size, ...]:
    """A size of about ``edge`` squared pixels for each of ``ASPECTS``, the square first; each once."""
    found = [_size(edge, width / height, multiple) for width, height in ASPECTS]
    return tuple(dict.fromkeys(found))


def _size(edge: int, aspect: float, multiple: int) -> Size:
    return Size(*(max(multiple, round(edge * side / multiple) * multiple) for side in (aspect**0.5, aspect**-0.5)))


def cut(image: Image.Image, size: Size) -> Image.Image:
    """The middle of ``image`` at ``size``: scaled to cover it, and cropped."""
    placement = Placement("", size, cover(Size(*image.size), size))
    return resize_and_crop(image, placement, plan_crop(placement, "center"))


@torch.no_grad()
def measure(studio: Studio, subjects: Sequence[Subject], size: Size) -> Measured:
    """The loss of each subject, which has ``size`` already, at fixed noise levels and noise."""
    losses, variances = [], []
    for subject in subjects:
        latents = studio.codec.encode(to_tensor(subject.image)[None]).mean
        prompt = studio.text.tokenize(subject.prompt) if subject.prompt else studio.text.unconditional()
        loss, variance = _of_one(studio, latents, Prompt(prompt), f"{subject.name} {size}")
        losses.append(loss)
        variances.append(variance)
    return Measured(tuple(losses), tuple(variances))


def _of_one(studio: Studio, latents: Tensor, prompt: Prompt, key: str) -> tuple[float, float]:
    """Loss and variance of the target of latents (1, C, h, w), over all noise levels and draws."""
    levels = ((torch.arange(_SIGMAS) + 0.5) / _SIGMAS).repeat(_DRAWS)
    rows = latents.expand(len(levels), -1, -1, -1)
    noise = torch.randn(rows.shape, generator=generator("buckets", key))
    target = velocity(rows, noise)
    errors = []
    for first in range(0, len(levels), _SIGMAS):
        part = slice(first, first + _SIGMAS)
        noisy = mix(rows[part], noise[part], levels[part]).to(studio.device)
        told = studio.predict(noisy, levels[part].to(studio.device), [prompt] * len(noisy))
        errors.append((told.float().cpu() - target[part]).square().mean(dim=(1, 2, 3)))
    return float(torch.cat(errors).mean()), float(target.var(dim=(0, 2, 3)).mean())


def compared(found: Sequence[tuple[Size, Measured]]) -> tuple[Shape, ...]:
    """Each size beside the first, the square; every size was measured on the same pictures."""
    square = found[0][1].losses
    return tuple(
        Shape(
            size=size,
            loss=mean_of(one.losses),
            explained=1 - math.fsum(one.losses) / math.fsum(one.variances),
            above_square=difference(one.losses, square),
        )
        for size, one in found
    )
