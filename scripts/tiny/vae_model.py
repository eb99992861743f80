"""The tiny VAE, its loss, and the exact change that gives its latents unit variance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from .vae_data import SIZE, as_signal

LATENT_CHANNELS = 4
REDUCTION = 8
BLOCK_CHANNELS = (16, 32, 64, 112)

_LOGVAR_RANGE = (-30.0, 20.0)
_FIRST_LOGVAR = -6.0
_EVALUATION_BATCH = 64


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts; the KL term, a mean over latent elements, grows to its weight in `kl_steps`.

    From the first step on it would drown the latents in noise before the decoder had learnt to read them.
    """

    mse: float = 2.0
    edges: float = 0.5
    kl: float = 0.005
    kl_steps: int = 2000

    def kl_at(self, steps: int) -> float:
        """Return the KL weight after `steps`."""
        return self.kl * min(1.0, steps / self.kl_steps)


@dataclass(frozen=True)
class LatentStatistics:
    """Per-channel mean and standard deviation (4,) of sampled latents, and the sampling noise within them."""

    mean: Tensor
    std: Tensor
    noise_std: Tensor


def new_autoencoder() -> AutoencoderKL:
    """Build the VAE; few channels at full resolution, because that is where a CPU's time goes."""
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(BLOCK_CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(BLOCK_CHANNELS),
        block_out_channels=BLOCK_CHANNELS,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=SIZE,
        mid_block_add_attention=False,
        force_upcast=False,
    ).to(memory_format=torch.channels_last)
    quieten(vae)
    return vae


@torch.no_grad()
def quieten(vae: AutoencoderKL) -> None:
    """Start with little sampling noise: at unit variance the decoder learns to ignore the latents."""
    vae.quant_conv.weight[LATENT_CHANNELS:].zero_()
    vae.quant_conv.bias[LATENT_CHANNELS:].fill_(_FIRST_LOGVAR)


def moments(vae: AutoencoderKL, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Encode -1..1 pictures (B, 3, H, W) to posterior mean and log variance, each (B, 4, H/8, W/8)."""
    mean, logvar = vae.quant_conv(vae.encoder(pictures)).float().chunk(2, dim=1)
    return mean, logvar.clamp(*_LOGVAR_RANGE)


def decoded(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Decode latents (B, 4, h, w) to pictures (B, 3, 8h, 8w) around -1..1."""
    picture: Tensor = vae.decoder(vae.post_quant_conv(latents))
    return picture.float()


def loss_terms(vae: AutoencoderKL, pictures: Tensor, noise: Tensor, weights: LossWeights) -> tuple[Tensor, Tensor]:
    """Weigh the reconstruction through a sampled latent (`noise` is standard normal); return it and the KL, both ()."""
    mean, logvar = moments(vae, pictures)
    restored = decoded(vae, mean + torch.exp(0.5 * logvar) * noise)
    kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean()
    return restoration_loss(restored, pictures, weights), kl


def restoration_loss(restored: Tensor, pictures: Tensor, weights: LossWeights) -> Tensor:
    """Compare pictures (B, 3, H, W) in pixels and edges; returns ()."""
    pixels = l1_loss(restored, pictures) + weights.mse * mse_loss(restored, pictures)
    return pixels + weights.edges * edge_loss(restored, pictures)


def edge_loss(restored: Tensor, pictures: Tensor) -> Tensor:
    """Compare differences between neighbouring pixels, which keeps outlines from blurring."""
    error = restored - pictures
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


@torch.no_grad()
def latent_statistics(vae: AutoencoderKL, pictures: Tensor, generator: torch.Generator) -> LatentStatistics:
    """Measure sampled latents over uint8 `pictures` (N, 3, 64, 64), pixel by pixel."""
    sampled, variances = [], []
    for batch in pictures.split(_EVALUATION_BATCH):
        mean, logvar = (part.cpu() for part in moments(vae, as_signal(batch).to(vae.device)))
        sampled.append(mean + torch.exp(0.5 * logvar) * torch.randn(mean.shape, generator=generator))
        variances.append(logvar.exp())
    latents, variance = torch.cat(sampled), torch.cat(variances)
    over = (0, 2, 3)
    return LatentStatistics(latents.mean(over), latents.std(over), variance.mean(over).sqrt())


@torch.no_grad()
def standardise(vae: AutoencoderKL, statistics: LatentStatistics) -> None:
    """Fold `(z - mean) / std` into the last encoder layer and its inverse into the first decoder layer.

    Both layers are 1x1 convolutions, so pictures come out as before, but every latent channel now
    has mean 0 and deviation 1, which one scaling factor could not give.
    """
    mean, std = statistics.mean, statistics.std
    encoder, decoder = vae.quant_conv, vae.post_quant_conv
    encoder.weight[:LATENT_CHANNELS] /= std[:, None, None, None]
    encoder.bias[:LATENT_CHANNELS] = (encoder.bias[:LATENT_CHANNELS] - mean) / std
    encoder.bias[LATENT_CHANNELS:] -= 2.0 * std.log()
    decoder.bias += decoder.weight[:, :, 0, 0] @ mean
    decoder.weight *= std[None, :, None, None]


@torch.no_grad()
def reconstructions(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Pass uint8 pictures through the posterior mean; returns 0..1 (N, 3, 64, 64)."""
    restored = [
        decoded(vae, moments(vae, as_signal(batch).to(vae.device))[0]).cpu()
        for batch in pictures.split(_EVALUATION_BATCH)
    ]
    return ((torch.cat(restored) + 1.0) / 2.0).clamp(0.0, 1.0)


def psnr(restored: Tensor, pictures: Tensor) -> float:
    """Mean over pictures of -10 log10 of the squared error on 0..1, in dB."""
    errors = (restored - pictures.float() / 255.0).square().mean(dim=(1, 2, 3))
    return float((-10.0 / math.log(10.0) * errors.log()).mean())
