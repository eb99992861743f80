"""What a picture loses on the way through the VAE and back, before any training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from simpletuner.data.cache.pixels import to_tensor
from simpletuner.models.family import Codec
from simpletuner.validation.render import to_picture
from simpletuner.validation.stitch import Panel, stitch

_GRID = 8
_WORST = 3
_FINE = 0.25
"""Cycles a pixel from which on a detail counts as fine: half of what pixels can show."""
_AMPLIFIED = 4
_MARK = (220, 30, 60)

Pixels = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """A part of a picture in pixels, and the signal-to-noise ratio of its round trip in dB."""

    left: int
    top: int
    width: int
    height: int
    psnr: float


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """A picture and what came back: ``psnr`` in dB, the ``worst`` regions, and the share of fine detail that is
    ``kept``: the energy above 0.25 cycles a pixel, None where there was none.
    """

    image: Image.Image
    restored: Image.Image
    psnr: float
    worst: tuple[Region, ...]
    kept: float | None

    def sheet(self, name: str) -> Image.Image:
        """Picture, round trip and four times their difference side by side, with the worst regions framed."""
        before, after = _values(self.image), _values(self.restored)
        shown = np.clip(128 + _AMPLIFIED * (after - before), 0, 255).astype(np.uint8)
        panels = [
            Panel("picture", _framed(self.image, self.worst)),
            Panel(f"round trip: {self.psnr:.1f} dB", self.restored),
            Panel(f"difference x{_AMPLIFIED}", _framed(Image.fromarray(shown), self.worst)),
        ]
        return stitch(panels, name)


def round_trip(codec: Codec, image: Image.Image) -> RoundTrip:
    """Of an RGB picture with edges that the codec takes."""
    restored = to_picture(codec.decode(codec.encode(to_tensor(image)[None]).mean)[0])
    before, after = _values(image), _values(restored)
    return RoundTrip(image, restored, psnr(before, after), worst_regions(before, after), fine_detail(before, after))


def psnr(before: Pixels, after: Pixels) -> float:
    """Peak signal-to-noise ratio in dB of values from 0 to 255; infinite for equal ones."""
    error = float(np.square(before - after).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def worst_regions(before: Pixels, after: Pixels) -> tuple[Region, ...]:
    """The cells of a grid of 8 x 8 with the largest error, the worst first; pixels (H, W, 3)."""
    height, width = before.shape[:2]
    lines = [[edge * cell // _GRID for cell in range(_GRID + 1)] for edge in (height, width)]
    found = []
    for top, bottom in zip(lines[0], lines[0][1:], strict=False):
        for left, right in zip(lines[1], lines[1][1:], strict=False):
            part = psnr(before[top:bottom, left:right], after[top:bottom, left:right])
            found.append(Region(left, top, right - left, bottom - top, part))
    return tuple(sorted(found, key=lambda region: region.psnr)[:_WORST])


def fine_detail(before: Pixels, after: Pixels) -> float | None:
    """The energy of fine detail in ``after`` as a share of that in ``before``, both (H, W, 3)."""
    had, has = _fine_energy(before), _fine_energy(after)
    return has / had if had > 1e-9 * before.size else None


def _fine_energy(pixels: Pixels) -> float:
    bright = pixels.mean(axis=2)
    spectrum = np.square(np.abs(np.fft.fft2(bright - bright.mean())))
    rows, columns = (np.fft.fftfreq(edge) for edge in bright.shape)
    return float(spectrum[np.hypot(rows[:, None], columns[None]) >= _FINE].sum())


def _values(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB"), dtype=np.float64)


def _framed(image: Image.Image, regions: tuple[Region, ...]) -> Image.Image:
    """Enlarged like the panel it becomes, so that the frames are thin."""
    marked = image.convert("RGB")
    draw = ImageDraw.Draw(marked)
    for region in regions:
        box = (region.left, region.top, region.left + region.width - 1, region.top + region.height - 1)
        draw.rectangle(box, outline=_MARK)
    return marked
