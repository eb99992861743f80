"""The tensors one forward pass reads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from simpletuner.core.samples import Use


@dataclass(frozen=True)
class Latents:
    """The VAE posterior, already scaled: ``mean`` and ``logvar``, float32, (C, h, w) or (B, C, h, w)."""

    mean: Tensor
    logvar: Tensor


@dataclass(frozen=True)
class Batch:
    """Micro-batch on the CPU. Every row has one latent size, because an update is one bucket.

    ``latents`` (B, C, H, W) float32, drawn from the posterior and scaled to unit variance; ``noise`` likewise;
    ``sigma`` (B,) the share of noise, 0 is the image; ``prompts`` one 1-D int64 tensor of token ids a row.
    """

    uses: tuple[Use, ...]
    latents: Tensor
    noise: Tensor
    sigma: Tensor
    prompts: tuple[Tensor, ...]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.uses)
