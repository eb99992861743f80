"""The tensors one forward pass reads."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from simpletuner.core.samples import Use

Sizes = tuple[tuple[int, int], ...]
"""The latent size (h, w) of each row, where rows are padded at the bottom and right to one (H, W)."""


@dataclass(frozen=True)
class Latents:
    """The VAE posterior, already scaled: ``mean`` and ``logvar``, float32, (C, h, w) or (B, C, h, w)."""

    mean: Tensor
    logvar: Tensor


@dataclass(frozen=True, eq=False)
class Prompt:
    """What one picture is asked for with: words, and pictures among them.

    ``ids`` (L,) int64 token ids, where -k stands for the k-th of ``pictures``: scaled latents (C, h, w)
    of input pictures.
    """

    ids: Tensor
    pictures: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Micro-batch on the CPU. Rows have one latent size, unless a data set mixes its buckets.

    ``latents`` (B, C, H, W) float32, drawn from the posterior and scaled to unit variance; ``noise`` likewise;
    ``sigma`` (B,) the share of noise, 0 is the image; ``prompts`` one a row.
    ``sizes`` None means that every row fills (H, W); what lies outside a row's size is padding, which nothing reads.
    ``mask`` (B, 1, H, W) float32 in [0, 1] is how much the error of each cell counts; None counts all in full.
    ``lengths`` says how many steps each row is rolled out, empty for none at all; ``extra_noise`` (B, C, H, W) is noise
    that the model is shown and the target does not know of.
    """

    uses: tuple[Use, ...]
    latents: Tensor
    noise: Tensor
    sigma: Tensor
    prompts: tuple[Prompt, ...]
    sizes: Sizes | None = None
    mask: Tensor | None = None
    lengths: tuple[int, ...] = ()
    extra_noise: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same with its tensors on ``device``; prompts stay, for whoever reads them lays them side by side."""
        moved = {
            name: tensor.to(device)
            for name in ("latents", "noise", "sigma", "mask", "extra_noise")
            if (tensor := vars(self)[name]) is not None
        }
        return replace(self, **moved)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.uses)
