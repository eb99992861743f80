"""OmniGen's VAE (SDXL's, 4 channels, 8x) behind the codec protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.models.family import MemorySaving
from simpletuner.models.loading import load_pretrained, quiet_diffusers
from simpletuner.models.source import Source


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

    def threads(self) -> int:
        """Those of torch where the VAE is on a CPU in float32; a narrower one may change its type while it encodes."""
        return torch.get_num_threads() if (self._vae.device.type, self._vae.dtype) == ("cpu", torch.float32) else 1

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Latents:
        """The posterior of pixels (B, 3, H, W) in [-1, 1] in scaled units, (B, 4, h, w) float32 on the CPU.

        Scaling by s multiplies the mean by s and adds 2 log s to the log-variance. A picture that a narrower type
        cannot encode to finite numbers is encoded once more in float32.
        """
        mean, logvar = self._moments(pixels)
        lost = ~torch.cat((mean, logvar), dim=1).isfinite().flatten(1).all(dim=1)
        if lost.any() and self._vae.dtype != torch.float32:
            with self._in_float32():
                mean[lost], logvar[lost] = self._moments(pixels[lost])
        scale = torch.tensor(float(self._vae.config.scaling_factor))
        return Latents(mean * scale, logvar + 2 * scale.log())

    def _moments(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self._vae.encode(pixels.to(self._vae.device, self._vae.dtype)).latent_dist
        return posterior.mean.float().cpu(), posterior.logvar.float().cpu()

    @contextmanager
    def _in_float32(self) -> Iterator[None]:
        """The way back is exact: every weight was representable before."""
        narrow = self._vae.dtype
        with quiet_diffusers():
            self._vae.to(torch.float32)
            try:
                yield
            finally:
                self._vae.to(narrow)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) float32 in [-1, 1] on the CPU; in float32 where a narrower type fails, as in encoding."""
        pixels = self._pixels(latents)
        if not pixels.isfinite().all() and self._vae.dtype != torch.float32:
            with self._in_float32():
                pixels = self._pixels(latents)
        return pixels.clamp(-1, 1)

    def _pixels(self, latents: Tensor) -> Tensor:
        unscaled = latents.to(self._vae.device, self._vae.dtype) / self._vae.config.scaling_factor
        pixels: Tensor = self._vae.decode(unscaled).sample
        return pixels.float().cpu()


def load_codec(source: Source, device: torch.device, dtype: torch.dtype, saving: MemorySaving) -> OmniGenCodec:
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
