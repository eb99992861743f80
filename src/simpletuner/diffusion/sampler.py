"""From noise to picture: Euler steps along the learned velocity, with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]
"""``(noisy (B, C, H, W), sigma (B,)) -> velocity (B, C, H, W)``."""


def sigmas(steps: int) -> Tensor:
    """The ``steps + 1`` equally spaced shares of noise from 1 to 0. OmniGen takes no schedule shift."""
    return torch.linspace(1, 0, steps + 1)


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598, eq. 6) in the form OmniGen uses.

    ``unconditional + scale (conditional - unconditional)``: scale 1 is the conditional prediction.
    """
    return unconditional + scale * (conditional - unconditional)


@torch.no_grad()
def euler(noise: Tensor, velocity: Velocity, steps: int, on_step: Callable[[int], None] = lambda step: None) -> Tensor:
    """Follow ``velocity`` from ``noise`` (B, C, H, W) at sigma 1 to latents at sigma 0 in ``steps`` Euler steps.

    ``on_step`` is told the 1-based number of each finished step.
    """
    latents = noise
    grid = sigmas(steps).to(noise.device)
    for step, (sigma, next_sigma) in enumerate(pairwise(grid), start=1):
        share = sigma.expand(len(latents))
        latents = latents + (next_sigma - sigma) * velocity(latents, share)
        on_step(step)
    return latents
