"""The tensors one forward pass reads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from simpletuner.core.samples import Use

Sizes = tuple[tuple[int, int], ...]
"""The latent size (h, w) of each row, where rows are padded at the bottom and right to one (H, W)."""


@dataclass(frozen=True)
class Latents:
    """The VAE posterior, already scaled: ``mean`` and ``logvar``, float32, (C, h, w) or (B, C, h, w)."""

    mean: Tensor
    logvar: Tensor


@dataclass(frozen=True)
class Batch:
    """Micro-batch on the CPU. Rows have one latent size, unless a data set mixes its buckets.

    ``latents`` (B, C, H, W) float32, drawn from the posterior and scaled to unit variance; ``noise`` likewise;
    ``sigma`` (B,) the share of noise, 0 is the image; ``prompts`` one 1-D int64 tensor of token ids a row.
    ``sizes`` None means that every row fills (H, W); what lies outside a row's size is padding, which nothing reads.
    ``mask`` (B, 1, H, W) float32 in [0, 1] is how much the error of each cell counts; None counts all in full.
    """

    uses: tuple[Use, ...]
    latents: Tensor
    noise: Tensor
    sigma: Tensor
    prompts: tuple[Tensor, ...]
    sizes: Sizes | None = None
    mask: Tensor | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.uses)
