"""The tiny preview decoder (with an encoder beside it) and what it is trained to do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor
from torch.nn.functional import mse_loss

from .vae_data import as_signal
from .vae_model import LATENT_CHANNELS, LossWeights, moments, restoration_loss

DECODER_BLOCKS = (3, 3, 2, 0)
DECODER_CHANNELS = 16
ENCODER_BLOCKS = (0, 1, 2, 2)
ENCODER_CHANNELS = 32

_LATENT_MAGNITUDE = 6
_MOST_NOISE = 0.3
_ENCODING_BATCH = 64


@dataclass(frozen=True)
class Pairs:
    """Pictures as bytes (N, 3, 64, 64), and the VAE's scaled posterior of each: mean and deviation, (N, 4, 8, 8)."""

    pictures: Tensor
    means: Tensor
    deviations: Tensor


def new_preview_autoencoder() -> AutoencoderTiny:
    """Build the network; it takes scaled latents, so that it needs no factor of its own.

    No block at full resolution, and as many channels in every stage (the class cannot change them): a CPU spends
    its time on pixels there. 16 channels are one vector register.
    """
    return AutoencoderTiny(
        encoder_block_out_channels=(ENCODER_CHANNELS,) * len(ENCODER_BLOCKS),
        decoder_block_out_channels=(DECODER_CHANNELS,) * len(DECODER_BLOCKS),
        num_encoder_blocks=ENCODER_BLOCKS,
        num_decoder_blocks=DECODER_BLOCKS,
        latent_channels=LATENT_CHANNELS,
        latent_magnitude=_LATENT_MAGNITUDE,
    ).to(memory_format=torch.channels_last)


@torch.no_grad()
def encoded(vae: AutoencoderKL, pictures: Tensor) -> Pairs:
    """Encode uint8 `pictures` with the VAE and scale what comes out."""
    factor: float = vae.config.scaling_factor
    means, deviations = [], []
    for batch in pictures.split(_ENCODING_BATCH):
        mean, logvar = moments(vae, as_signal(batch).to(vae.device))
        means.append(mean.cpu() * factor)
        deviations.append(torch.exp(0.5 * logvar).cpu() * factor)
    return Pairs(pictures, torch.cat(means), torch.cat(deviations))


def noisy_latents(means: Tensor, deviations: Tensor, generator: torch.Generator) -> Tensor:
    """Sample the posterior and add noise, mostly a little: a preview decodes a guess in the middle of sampling."""
    strength = _MOST_NOISE * torch.rand((len(means), 1, 1, 1), generator=generator).pow(3)
    posterior, further = (torch.randn(means.shape, generator=generator) for _ in range(2))
    return means + deviations * posterior + strength * further


def decoder_loss(tae: AutoencoderTiny, latents: Tensor, pictures: Tensor, weights: LossWeights) -> Tensor:
    """Compare decoded latents with the pictures (-1..1) in pixels and edges; returns ()."""
    return restoration_loss(tae.decoder(latents).float(), pictures, weights)


def encoder_loss(tae: AutoencoderTiny, pictures: Tensor, means: Tensor) -> Tensor:
    """Compare encoded pictures (-1..1) with the VAE's scaled posterior mean; returns ()."""
    return mse_loss(tae.encoder(pictures).float(), means)
