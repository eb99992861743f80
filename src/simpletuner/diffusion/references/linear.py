r"""The best linear denoiser of a data set: the loss that a network beats once it has learned anything of shapes.

Let latents x of one size be a stationary process (its statistics are the same at every place; edges wrap around) with a
mean for each channel and noise e of variance 1 beside it. In the unitary Fourier basis its frequencies are
uncorrelated, and at each of them the C channels have a Hermitian covariance S, whose eigenbasis makes them uncorrelated
too. So all falls apart into scalars with variance ``p`` (an eigenvalue of S), of which the model is shown
``y = (1 - s) x + s e`` and asked for ``v = e - x``. With

    Var v = 1 + p,    Var y = (1 - s)^2 p + s^2,    Cov(v, y) = s - (1 - s) p

the best linear estimate leaves (Wiener 1949; Kay, Estimation Theory, section 12.4)

    Var v - Cov(v, y)^2 / Var y = p / ((1 - s)^2 p + s^2),

because ``(1 + p) Var y - Cov(v, y)^2 = p (1 - s + s)^2 = p``. At s = 0 that is 1 (the noise is hidden in the picture),
at s = 1 it is p (the picture is hidden in the noise). The mean over frequencies and channels is the mean squared error
of a cell (Parseval). It is the least error of any denoiser where latents are Gaussian, and a network may beat it
elsewhere. It looks at no caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d

from simpletuner.core.batch import Latents

# Between two points the table is read along a straight line.
_POINTS = 257
_AT_ONCE = 1 << 22
_KEPT = 4096
# With few pictures the spectrum's spread lowers the reference by about channels / (2 pictures) of itself.
FEWEST = 16
"""Pictures of one size without which their spectrum says too little."""

Size = tuple[int, int]
"""(h, w) of latents, in cells."""


class Spectrum:
    """The power spectrum of latents of one size, summed picture by picture: S at every frequency, (h, w, C, C)."""

    def __init__(self) -> None:
        self._second: Tensor | float = 0.0
        self._first: Tensor | float = 0.0
        self._weight = 0.0
        self.pictures = 0

    def add(self, latents: Latents, weight: float = 1.0) -> None:
        """Count the posterior of a picture, (C, h, w), so many times.

        The variance of the posterior is independent from cell to cell, so at every frequency it is its mean.
        """
        waves = torch.fft.fft2(latents.mean.double(), norm="ortho").permute(1, 2, 0)
        white = torch.diag(latents.logvar.double().exp().mean(dim=(1, 2)))
        self._second += weight * (waves[..., :, None] * waves[..., None, :].conj() + white)
        self._first += weight * waves[0, 0]
        self._weight += weight
        self.pictures += 1

    def eigenvalues(self) -> Tensor:
        """The variances ``p`` of the formula above, (h, w, C) float64, none below 0; their mean is a cell's variance.

        At least one picture has been added.
        """
        mean = torch.as_tensor(self._first) / self._weight
        covariance = torch.as_tensor(self._second) / self._weight
        covariance[0, 0] -= mean[:, None] * mean[None, :].conj()
        found: Tensor = torch.linalg.eigvalsh(covariance)
        return found.clamp_min(0)


def linear_loss(eigenvalues: Tensor, sigmas: Tensor) -> Tensor:
    """The mean squared error of the best linear denoiser at each of ``sigmas`` (T,): (T,) float64."""
    powers = eigenvalues.flatten()
    step = max(1, _AT_ONCE // len(powers))
    return torch.cat([_residual(powers, part).mean(dim=1) for part in sigmas.double().split(step)])


def _residual(powers: Tensor, sigmas: Tensor) -> Tensor:
    share = sigmas[:, None]
    seen = (1 - share).square() * powers + share.square()
    # Where nothing varies and nothing is added there is nothing to be wrong about.
    return torch.where(seen > 0, powers / seen.clamp_min(torch.finfo(seen.dtype).tiny), 0.0)


def _fewer(eigenvalues: Tensor) -> Tensor:
    """At most 4,096 values in place of many: means of neighbours in size, where the formula is all but straight."""
    powers = eigenvalues.flatten()
    return adaptive_avg_pool1d(powers.sort().values[None], _KEPT)[0] if len(powers) > _KEPT else powers


@dataclass(frozen=True, eq=False)
class LinearReference:
    """The loss of the best linear denoiser by sigma, for latents of each size that enough pictures have."""

    tables: dict[Size, Tensor]

    @classmethod
    def of(cls, spectra: dict[Size, Spectrum], fewest: int = FEWEST) -> LinearReference:
        """Tables of those sizes that at least ``fewest`` pictures have."""
        grid = torch.linspace(0, 1, _POINTS, dtype=torch.float64)
        known = {size: found for size, found in spectra.items() if found.pictures >= fewest}
        return cls({size: linear_loss(_fewer(found.eigenvalues()), grid) for size, found in known.items()})

    def at(self, size: Size, sigma: float) -> float | None:
        """The loss at ``sigma`` for latents of ``size``, or None for a size that is not known."""
        table = self.tables.get(size)
        if table is None:
            return None
        place = sigma * (_POINTS - 1)
        below = min(int(place), _POINTS - 2)
        return float(torch.lerp(table[below], table[below + 1], place - below))

    def mean(self, rows: Sequence[tuple[Size, float]]) -> float | None:
        """The mean over ``rows`` of size and sigma, or None when one of them is not known."""
        found = [self.at(size, sigma) for size, sigma in rows]
        known = [value for value in found if value is not None]
        return sum(known) / len(found) if known and len(known) == len(found) else None
