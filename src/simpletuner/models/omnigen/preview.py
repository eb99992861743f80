"""The tiny decoder that shows OmniGen's latents while they are sampled."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from simpletuner.models.loading import load_checked
from simpletuner.models.source import HubCommit, Source

PUBLIC = "madebyollin/taesdxl"
"""Of SDXL's latent space, which OmniGen shares; MIT."""
_OWN = "tae"


class OmniGenPreview:
    """An AutoencoderTiny, which takes latents as the transformer sees them."""

    def __init__(self, tae: AutoencoderTiny) -> None:
        """``tae`` is on its device, in its dtype, with gradients off."""
        self._tae = tae

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) float32 in [-1, 1] on the CPU, of latents (B, 4, h, w)."""
        unscaled = latents.to(self._tae.device, self._tae.dtype) / self._tae.config.scaling_factor
        pixels: Tensor = self._tae.decode(unscaled).sample
        return pixels.float().cpu().clamp(-1, 1)


def has_own(source: Source) -> bool:
    """Whether the model ``source`` has a decoder of its own, in the folder ``tae``."""
    return not isinstance(source, HubCommit) and (Path(source) / _OWN).is_dir()


def load_preview_decoder(
    source: Source, device: torch.device, dtype: torch.dtype, commit: str | None = None
) -> OmniGenPreview:
    """The one in the folder ``tae`` of ``source``, where it has that, else the public one from the hub.

    ``commit`` is that of the public one, None its newest. Raises ConfigError when neither can be loaded.
    """
    own = has_own(source)
    public = PUBLIC if commit is None else HubCommit(PUBLIC, commit)
    tae = load_checked(AutoencoderTiny, source if own else public, _OWN if own else "", dtype, frozenset())
    return OmniGenPreview(tae.to(device).eval().requires_grad_(requires_grad=False))
