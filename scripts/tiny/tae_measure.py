"""How good and how fast the tiny preview decoder is beside the VAE whose latents it decodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor

from .tae_model import encoded
from .vae_data import SIZE, as_signal
from .vae_model import LATENT_CHANNELS, REDUCTION, psnr

_WARM_UP = 5


def as_picture(signal: Tensor) -> Tensor:
    """Bring -1..1 to 0..1 and cut off what lies outside."""
    return ((signal + 1.0) / 2.0).clamp(0.0, 1.0)


@torch.no_grad()
def tae_pictures(tae: AutoencoderTiny, vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Decode the VAE's scaled posterior mean of uint8 pictures (N, 3, 64, 64); returns 0..1."""
    return as_picture(tae.decode(encoded(vae, pictures).means.to(tae.device)).sample.float()).cpu()


def tae_psnr(tae: AutoencoderTiny, vae: AutoencoderKL, pictures: Tensor) -> float:
    """Mean PSNR in dB of uint8 pictures that went through the VAE's encoder and the preview decoder."""
    return psnr(tae_pictures(tae, vae, pictures), pictures)


@torch.no_grad()
def round_trip_psnr(tae: AutoencoderTiny, pictures: Tensor) -> float:
    """Mean PSNR in dB of uint8 pictures that went through this network's own encoder and decoder."""
    latents = tae.encode(as_signal(pictures).to(tae.device)).latents
    return psnr(as_picture(tae.decode(latents).sample.float()).cpu(), pictures)


@torch.no_grad()
def encoder_error(tae: AutoencoderTiny, vae: AutoencoderKL, pictures: Tensor) -> float:
    """Root mean square distance of the encoder's latents from the VAE's scaled means, whose deviation is about 1."""
    latents = tae.encode(as_signal(pictures).to(tae.device)).latents.float().cpu()
    return float((latents - encoded(vae, pictures).means).square().mean().sqrt())


@torch.no_grad()
def decode_speedup(tae: AutoencoderTiny, vae: AutoencoderKL, batch: int = 1, runs: int = 100) -> float:
    """Median time of `vae.decode` over that of `tae.decode` for `batch` pictures of 64 px.

    The two take turns, so that whatever else the machine does slows down both. Threads, device and memory
    layout are the caller's.
    """
    side = SIZE // REDUCTION
    latents = torch.randn(batch, LATENT_CHANNELS, side, side, generator=torch.Generator().manual_seed(0)).to(vae.device)
    decoders = (vae.decode, tae.decode)
    turns = [[_seconds(decode, latents) for decode in decoders] for _ in range(_WARM_UP + runs)]
    slow, fast = (median(turn[which] for turn in turns[_WARM_UP:]) for which in range(len(decoders)))
    return slow / fast


def _seconds(decode: Callable[[Tensor], object], latents: Tensor) -> float:
    started = time.perf_counter()
    decode(latents)
    if latents.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started
