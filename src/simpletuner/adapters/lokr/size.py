"""LoKr's arithmetic: how a layer splits into Kronecker factors and how many values that trains. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass


def split(dimension: int, factor: int) -> tuple[int, int]:
    """The (small, large) factors of ``dimension``, as LyCORIS splits it.

    Divisible by ``factor``: that factor and its quotient. Otherwise, and for factor -1: the divisor pair nearest to
    a square whose small side does not exceed the factor.
    """
    if factor > 0 and dimension % factor == 0:
        return min(factor, dimension // factor), max(factor, dimension // factor)
    limit = math.isqrt(dimension) if factor < 0 else min(factor, math.isqrt(dimension))
    small = max(divisor for divisor in range(1, limit + 1) if dimension % divisor == 0)
    return small, dimension // small


@dataclass(frozen=True)
class LokrShape:
    """The two factors of one layer's delta, each (out, in)."""

    w1: tuple[int, int]
    w2: tuple[int, int]

    @property
    def parameters(self) -> int:
        """Trainable values when both factors are full matrices."""
        return math.prod(self.w1) + math.prod(self.w2)


def lokr_shape(out_features: int, in_features: int, factor: int) -> LokrShape:
    """The factors of an (out, in) layer. A larger factor is a smaller adapter, until it passes the square root."""
    out_small, out_large = split(out_features, factor)
    in_small, in_large = split(in_features, factor)
    return LokrShape(w1=(out_small, in_small), w2=(out_large, in_large))
