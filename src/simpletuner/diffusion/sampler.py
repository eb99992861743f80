"""From noise to picture: Euler steps along the learned velocity, with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from simpletuner.diffusion.flow import as_column

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


def guide_by_pictures(
    conditional: Tensor, pictures: Tensor, unconditional: Tensor, scale: float, picture_scale: float
) -> Tensor:
    """Guidance by words and by input pictures (Brooks et al. 2022, arXiv 2211.09800, eq. 3) in the form OmniGen uses.

    ``pictures`` is predicted from the input pictures without words. ``unconditional + picture_scale (pictures -
    unconditional) + scale (conditional - pictures)``: both scales 1 give the conditional prediction.
    """
    return guide(pictures, unconditional, picture_scale) + scale * (conditional - pictures)


def euler_step(latents: Tensor, velocity: Tensor, sigma: Tensor, next_sigma: Tensor) -> Tensor:
    """From ``sigma`` to ``next_sigma``, (B,) each, along ``velocity`` (B, C, H, W) at ``latents``."""
    return latents + as_column(next_sigma - sigma, latents) * velocity


@dataclass(frozen=True, eq=False)
class SamplingStep:
    """A finished step: its 1-based ``number``; it went from ``latents`` along ``velocity``, (B, C, H, W) each.

    ``sigma`` and ``next_sigma`` (B,) are the shares of noise before and after it.
    """

    number: int
    latents: Tensor
    velocity: Tensor
    sigma: Tensor
    next_sigma: Tensor

    @property
    def estimate(self) -> Tensor:
        """The finished latents (B, C, H, W) as this step sees them: reached if the velocity stays what it is."""
        return euler_step(self.latents, self.velocity, self.sigma, torch.zeros_like(self.sigma))


OnStep = Callable[[SamplingStep], None]
"""Is told of each finished step."""


@torch.no_grad()
def follow(latents: Tensor, velocity: Velocity, grid: Tensor, on_step: OnStep = lambda step: None) -> Tensor:
    """Follow ``velocity`` from ``latents`` (B, C, H, W) at ``grid[0]`` to ``grid[-1]``, one Euler step a pair.

    ``grid`` (N + 1,) are shares of noise.
    """
    for number, (sigma, next_sigma) in enumerate(pairwise(grid), start=1):
        share, next_share = (one.expand(len(latents)) for one in (sigma, next_sigma))
        towards = velocity(latents, share)
        done = SamplingStep(number, latents, towards, share, next_share)
        latents = euler_step(latents, towards, share, next_share)
        on_step(done)
    return latents


def euler(noise: Tensor, velocity: Velocity, steps: int, on_step: OnStep = lambda step: None) -> Tensor:
    """:func:`follow` from ``noise`` (B, C, H, W) at sigma 1 to latents at sigma 0 in ``steps`` equal steps."""
    return follow(noise, velocity, sigmas(steps).to(noise.device), on_step)
