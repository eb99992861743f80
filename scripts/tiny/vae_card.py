"""The model card of the tiny VAE."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .fit_state import Progress
from .npm import FLUENT_3D, FLUENT_FLAT
from .vae_model import BLOCK_CHANNELS, LatentStatistics


@dataclass(frozen=True)
class Measured:
    """What the card tells: quality in dB, the stored latents before scaling, and the size of training."""

    psnr: float
    statistics: LatentStatistics
    factor: float
    parameters: int
    pictures: int
    progress: Progress
    batch: int


def row(name: str, values: Tensor) -> str:
    """Format one value per latent channel as a table row; adding 0.0 turns -0.0 into 0.0."""
    return f"| {name} | " + " | ".join(f"{round(value, 3) + 0.0:.3f}" for value in values.tolist()) + " |"


def card(measured: Measured) -> str:
    """Write the card in Markdown."""
    statistics, progress = measured.statistics, measured.progress
    return f"""\
---
license: mit
library_name: diffusers
---

# VAE of the tiny OmniGen

A diffusers `AutoencoderKL` of {measured.parameters / 1e6:.2f} M parameters for pictures of emoji at 64 px: 4 latent
channels, 8 x smaller, block channels {BLOCK_CHANNELS}, no attention. It exists so that tests, examples and
tutorials run on a CPU in seconds. It knows nothing but emoji on white.

| | |
|---|---|
| Data | {measured.pictures} pictures of Microsoft's Fluent emoji, MIT: `{FLUENT_3D.spec}`, `{FLUENT_FLAT.spec}` |
| Training | {progress.steps} steps of {measured.batch} pictures, {progress.seconds / 60:.0f} minutes |
| Device | two busy cores of an AMD EPYC, no GPU |
| Precision | trained with fp32 weights under bfloat16 autocast, stored in fp16 |
| Held-out PSNR | {measured.psnr:.2f} dB at 64 px (posterior mean; mean over 60 3D emoji that were not trained on) |
| `scaling_factor` | {measured.factor:.5f}, no shift |

Sampled latents over the training pictures, before scaling. The 1 x 1 convolutions on both sides of the latents carry
an exact affine change that gives every channel mean 0 and deviation 1:

| Channel | 0 | 1 | 2 | 3 |
|---|---|---|---|---|
{row("mean", statistics.mean)}
{row("deviation", statistics.std)}
{row("of it, posterior noise", statistics.noise_std)}

Made by `python -m scripts.tiny.vae`; the 60 held-out names are in `scripts/tiny/held_out.txt`. MIT licence.
"""
