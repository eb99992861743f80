"""Laws of sigma, each as its quantile: the share of noise below which a given share of all draws lies.

With a quantile, random numbers give random timesteps and evenly spread numbers give evenly spread ones. No torch here.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from statistics import NormalDist
from typing import Protocol

from simpletuner.diffusion.beta import beta_cdf
from simpletuner.diffusion.pchip import Piece, pieces_through

_NORMAL = NormalDist()
_HALVINGS = 48


class Law(Protocol):
    """How sigma is spread over 0 (the image) to 1 (noise)."""

    def quantile(self, share: float) -> float:
        """The sigma below which ``share`` of the draws lie, both in (0, 1)."""
        ...


@dataclass(frozen=True)
class LogitNormal:
    """The sigmoid of ``location`` plus ``scale`` times a standard normal draw.

    Esser et al. 2024 (arXiv 2403.03206), section 3.1. Scale 1 at 0 is what OmniGen was trained with; a smaller one
    keeps to the middle, a larger one goes to the ends. A location below 0 is nearer to the image, one above to noise.
    """

    scale: float = 1.0
    location: float = 0.0

    def quantile(self, share: float) -> float:
        """The sigmoid of the normal quantile."""
        return 1 / (1 + math.exp(-(self.location + self.scale * _NORMAL.inv_cdf(share))))


@dataclass(frozen=True)
class Uniform:
    """Every share of noise equally often."""

    def quantile(self, share: float) -> float:
        """The share itself."""
        return share


@dataclass(frozen=True)
class Beta:
    """Density proportional to ``sigma^(alpha - 1) (1 - sigma)^(beta - 1)``; 1 and 1 is uniform."""

    alpha: float
    beta: float

    def quantile(self, share: float) -> float:
        """The inverse of the regularised incomplete beta function."""
        return _inverse(lambda sigma: beta_cdf(sigma, self.alpha, self.beta), share)


@dataclass(frozen=True)
class Weighted:
    """A density through equally spaced ``weights`` over 0 to 1, none of them negative and not all 0.

    None or one is uniform, two a straight line, three or more a monotone cubic (:mod:`~simpletuner.diffusion.pchip`),
    which never dips below 0 between them.
    """

    weights: tuple[float, ...]

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        return pieces_through(self.weights if len(self.weights) > 1 else (1.0, 1.0))

    @cached_property
    def _ends(self) -> list[float]:
        return list(accumulate(piece.area(1.0) for piece in self._pieces))

    def quantile(self, share: float) -> float:
        """The inverse of the integral of the density."""
        wanted = share * self._ends[-1]
        number = min(bisect_left(self._ends, wanted), len(self._pieces) - 1)
        rest = wanted - (self._ends[number - 1] if number else 0.0)
        return (number + _inverse(self._pieces[number].area, rest)) / len(self._pieces)


@dataclass(frozen=True)
class Listed:
    """A list of shares of noise, each equally often."""

    sigmas: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """The one in whose turn ``share`` falls, in the order of the list."""
        return self.sigmas[min(int(share * len(self.sigmas)), len(self.sigmas) - 1)]


def _inverse(rising: Callable[[float], float], value: float) -> float:
    """Where in 0 to 1 ``rising`` reaches ``value``, to 2^-48."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < value else (low, middle)
    return (low + high) / 2


_GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio."""


def stratified(start: int, position: int) -> float:
    """Member ``position`` of a sequence that fills (0, 1) evenly from wherever it is read, begun at ``start`` / 2^64.

    The additive recurrence with the golden ratio (Kronecker's sequence; Roberts 2018, "The unreasonable effectiveness
    of quasirandom sequences"), in whole numbers, so that position 10^12 is as exact as 0.
    """
    point = (start + position * _GOLDEN) % 2**64
    return ((point >> 12) + 0.5) / 2**52
