"""Everything random about one use of a sample, keyed by (seed, sample, visit).

Batch slicing, the number of processes or a resume cannot change a draw, because none of them is in the key.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.samples import Use
from simpletuner.core.seeds import generator
from simpletuner.diffusion.flow import logit_normal_sigma


def draw(seed: int, use: Use, purpose: str) -> torch.Generator:
    """The generator for one purpose (noise, sigma, posterior, caption, dropout) of one use."""
    return generator(seed, use.sample, use.visit, purpose)


def noise(seed: int, use: Use, shape: Sequence[int]) -> Tensor:
    """Standard normal noise of ``shape`` (C, h, w)."""
    return torch.randn(tuple(shape), generator=draw(seed, use, "noise"))


def sigma(seed: int, use: Use) -> Tensor:
    """The share of noise of this use, a scalar in (0, 1)."""
    return logit_normal_sigma(draw(seed, use, "sigma"))


def latents(seed: int, use: Use, posterior: Latents) -> Tensor:
    """A draw from the VAE's posterior, (C, h, w): pictures are not points, and the reference trains on draws."""
    epsilon = torch.randn(posterior.mean.shape, generator=draw(seed, use, "posterior"))
    return posterior.mean + (posterior.logvar / 2).exp() * epsilon


def caption(seed: int, use: Use, candidates: Sequence[str]) -> str:
    """One of the sample's captions."""
    index = torch.randint(len(candidates), (), generator=draw(seed, use, "caption"))
    return candidates[int(index)]


def drops_caption(seed: int, use: Use, probability: float) -> bool:
    """Whether this use trains without its caption."""
    return bool(torch.rand((), generator=draw(seed, use, "dropout")) < probability)
