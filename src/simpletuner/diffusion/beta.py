"""The regularised incomplete beta function, which torch does not have."""

from __future__ import annotations

import math

_TINY = 1e-300
_CLOSE = 1e-15
_MOST = 10_000


def beta_cdf(x: float, a: float, b: float) -> float:
    """The share of a beta(a, b) distribution below ``x`` in 0 to 1, to about 1e-13; ``a`` and ``b`` above 0.

    The continued fraction of DLMF 8.17.22 (https://dlmf.nist.gov/8.17), from the side on which it converges fast.
    """
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    log_front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(log_front) / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """``1 / (1 + d1 / (1 + d2 / (1 + ...)))`` by Lentz's method (Thompson and Barnett 1986, J. Comput. Phys. 64)."""
    numerator, denominator, value = 1.0, 0.0, 1.0
    for index in range(1, _MOST):
        term = _even(index // 2, x, a, b) if index % 2 == 0 else _odd(index // 2, x, a, b)
        denominator = 1 / _nonzero(1 + term * denominator)
        numerator = _nonzero(1 + term / numerator)
        factor = numerator * denominator
        value *= factor
        if abs(factor - 1) < _CLOSE:
            break
    return 1 / value


def _even(m: int, x: float, a: float, b: float) -> float:
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))


def _odd(m: int, x: float, a: float, b: float) -> float:
    return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
