"""Input pictures, and a stand-in for the VAE: these fixtures are about the transformer."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from .cases import Size


def picture(size: Size, seed: int) -> Image.Image:
    """An RGB picture of ``size`` (h, w) in latent cells, each of which is 8 x 8 pixels of one random colour."""
    draws = torch.Generator().manual_seed(seed)
    cells = torch.randint(256, (*size, 3), generator=draws, dtype=torch.uint8)
    pixels = cells.repeat_interleave(8, dim=0).repeat_interleave(8, dim=1)
    return Image.fromarray(pixels.numpy())


def latents(pixels: Tensor) -> Tensor:
    """Latents (B, 4, h, w) of pixels (B, 3, H, W) in [-1, 1]: the colour of each cell and its mean, doubled."""
    cells = avg_pool2d(pixels, 8)
    return 2 * torch.cat((cells, cells.mean(dim=1, keepdim=True)), dim=1)


class StandInVae(nn.Module):
    """What the official pipeline asks of a VAE; ``decoded`` keeps the latents that it hands over at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(shift_factor=None, scaling_factor=1.0)
        self.decoded: list[Tensor] = []

    def encode(self, pixels: Tensor) -> SimpleNamespace:
        """A posterior whose every draw is the same."""
        return SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda: latents(pixels)))

    def decode(self, sample: Tensor) -> SimpleNamespace:
        """Keep the latents (B, 4, h, w) and give back black pixels."""
        self.decoded.append(sample)
        return SimpleNamespace(sample=torch.full((len(sample), 3, 8, 8), -1.0))
