"""OmniGen's VAE (SDXL's, 4 channels, 8x) behind the codec protocol."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.models.family import MemorySaving
from simpletuner.models.loading import load_pretrained


class OmniGenCodec:
    """Pictures to scaled latents and back."""

    def __init__(self, vae: AutoencoderKL) -> None:
        """``vae`` is on its device, in its dtype, with gradients off."""
        self._vae = vae
        # Tiles change the latents a little; slices do not.
        self._fingerprint = _fingerprint(vae) + ("-tiled" if vae.use_tiling else "")

    def fingerprint(self) -> str:
        """Hash of weights, configuration and number format, and whether it works in tiles."""
        return self._fingerprint

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Latents:
        """The posterior of pixels (B, 3, H, W) in [-1, 1] in scaled units, (B, 4, h, w) float32 on the CPU.

        Scaling by s multiplies the mean by s and adds 2 log s to the log-variance.
        """
        posterior = self._vae.encode(pixels.to(self._vae.device, self._vae.dtype)).latent_dist
        scale = torch.tensor(float(self._vae.config.scaling_factor))
        return Latents(posterior.mean.float().cpu() * scale, posterior.logvar.float().cpu() + 2 * scale.log())

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) float32 in [-1, 1] on the CPU."""
        unscaled = latents.to(self._vae.device, self._vae.dtype) / self._vae.config.scaling_factor
        pixels: Tensor = self._vae.decode(unscaled).sample
        return pixels.float().cpu().clamp(-1, 1)


def load_codec(source: str | Path, device: torch.device, dtype: torch.dtype, saving: MemorySaving) -> OmniGenCodec:
    """The VAE of ``source`` on ``device``."""
    vae = load_pretrained(AutoencoderKL, source, "vae", dtype)
    if saving.tiling:
        vae.enable_tiling()
    if saving.slicing:
        vae.enable_slicing()
    return OmniGenCodec(vae.to(device).eval().requires_grad_(requires_grad=False))


def _fingerprint(vae: AutoencoderKL) -> str:
    settings = sorted((key, str(value)) for key, value in vae.config.items() if not key.startswith("_"))
    digest = hashlib.sha256(f"{settings} {vae.dtype}".encode())
    for name, weight in sorted(vae.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:32]
