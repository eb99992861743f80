"""The model card of the tiny preview decoder."""

from __future__ import annotations

from dataclasses import dataclass

from .fit_state import Progress
from .npm import FLUENT_3D, FLUENT_FLAT
from .tae_model import DECODER_BLOCKS, DECODER_CHANNELS, ENCODER_BLOCKS, ENCODER_CHANNELS


@dataclass(frozen=True)
class Training:
    """How the weights came about: ``pictures`` in so many changed ``copies``, and on what ``device`` (in words)."""

    progress: Progress
    batch: int
    pictures: int
    copies: int
    bf16: bool
    device: str


@dataclass(frozen=True)
class Measured:
    """Quality in dB on held-out pictures, speed-ups by batch size, the encoder's error, and parameters by part."""

    psnr: float
    vae_psnr: float
    round_trip_psnr: float
    encoder_error: float
    speedups: dict[int, float]
    decoder_parameters: int
    encoder_parameters: int


def card(measured: Measured, training: Training) -> str:
    """Write the card in Markdown."""
    progress = training.progress
    precision = "with fp32 weights under bfloat16 autocast" if training.bf16 else "in fp32"
    speedups = ", ".join(f"{ratio:.1f} at batch {batch}" for batch, ratio in measured.speedups.items())
    return f"""\
---
license: mit
library_name: diffusers
---

# Preview decoder of the tiny OmniGen

A diffusers `AutoencoderTiny` that turns the latents of the tiny VAE (`../vae`) into pictures of emoji at 64 px, several
times faster than the VAE does, to be shown while a picture is still being sampled. It takes latents as the transformer
sees them, that is `latents * vae.config.scaling_factor`; its own factor is 1. It knows nothing but emoji on white.

Decoder: {measured.decoder_parameters / 1e3:.0f} k parameters, {DECODER_CHANNELS} channels, blocks {DECODER_BLOCKS}.
Encoder: {measured.encoder_parameters / 1e3:.0f} k parameters, {ENCODER_CHANNELS} channels, blocks {ENCODER_BLOCKS};
it imitates the VAE's scaled posterior mean.

| | |
|---|---|
| Data | {training.pictures} pictures of Microsoft's Fluent emoji, MIT: `{FLUENT_3D.spec}`, `{FLUENT_FLAT.spec}`; \
{training.copies} changed copies of each |
| Training | {progress.steps} steps of {training.batch} pictures, {progress.seconds / 60:.0f} minutes |
| Device | {training.device} |
| Precision | trained {precision}, stored in fp16 |
| Held-out PSNR | {measured.psnr:.2f} dB; the VAE's own decoder {measured.vae_psnr:.2f} dB \
(posterior mean at 64 px; mean over 60 3D emoji that were not trained on) |
| Speed on a CPU | {speedups}: times faster than the VAE's decoder (64 px, fp32, one thread, medians) |
| Encoder | {measured.encoder_error:.3f} rms from the VAE's scaled mean, whose deviation is about 1; \
there and back {measured.round_trip_psnr:.2f} dB |

Made by `python -m scripts.tiny.tae`; the 60 held-out names are in `scripts/tiny/held_out.txt`. MIT licence.
"""
