"""Rectified flow: the straight line from image to noise (Liu et al. 2022, arXiv 2209.03003, eq. 1).

One convention in the whole project: ``sigma`` is the share of noise (0 image, 1 noise) and velocity points from
image to noise.
"""

from __future__ import annotations

import torch
from torch import Tensor


def as_column(sigma: Tensor, like: Tensor) -> Tensor:
    """``sigma`` (B,) in the shape that multiplies the rows of ``like`` (B, ...)."""
    return sigma.to(like).reshape(-1, *[1] * (like.ndim - 1))


def mix(latents: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The point at ``sigma`` on the line: ``(1 - sigma) latents + sigma noise``.

    ``latents`` and ``noise`` (B, C, H, W), ``sigma`` (B,).
    """
    share = as_column(sigma, latents)
    return (1 - share) * latents + share * noise


def velocity(latents: Tensor, noise: Tensor) -> Tensor:
    """The derivative of :func:`mix` by sigma, (B, C, H, W): ``noise - latents``, the same at every sigma."""
    return noise - latents


def logit_normal_sigma(generator: torch.Generator, scale: float = 1.0, location: float = 0.0) -> Tensor:
    """One sigma in (0, 1), a scalar: the sigmoid of ``location`` plus ``scale`` times a standard normal draw.

    Esser et al. 2024 (arXiv 2403.03206), section 3.1; location 0 and scale 1 are what OmniGen was trained with.
    """
    return (location + scale * torch.randn((), generator=generator)).sigmoid()
