"""Random orders and waiting times that are the same, bit for bit, with every numpy and on every processor.

Ranks on different machines must agree on a plan, and a resumed run must find the one it left. So nothing here uses
numpy's generators, whose streams may change between versions (NEP 19 fixes only the raw words of a bit generator), nor
``numpy.log``, whose last bit depends on the processor.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simpletuner.core.keyed import derive_seed

Indices = NDArray[np.int32]

_LN2 = math.log(2)
# atanh's series in z^2 for z up to 1/3: the first term left out is below 1e-10.
_SERIES = [1 / (2 * power + 1) for power in reversed(range(10))]


def words_of(*parts: object) -> np.random.PCG64:
    """A source of raw 64-bit words keyed by ``parts``; each draw from it goes on where the one before ended."""
    return np.random.PCG64(derive_seed(*parts))


def permutation(words: np.random.PCG64, count: int) -> Indices:
    """A random order of ``range(count)``."""
    return np.argsort(words.random_raw(count), kind="stable").astype(np.int32)


def exponentials(words: np.random.PCG64, count: int) -> NDArray[np.float64]:
    """Waiting times of mean 1: ``-ln(u)`` of ``count`` uniform numbers between 0 and 1, both left out."""
    top = (words.random_raw(count) >> np.uint64(12)).astype(np.float64)
    return -_logarithm((top + 0.5) * 2.0**-52)


def _logarithm(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithms within 1e-9, from operations that IEEE 754 rounds alike everywhere."""
    mantissa, exponent = np.frexp(numbers)
    ratio = (mantissa - 1) / (mantissa + 1)
    square, series = ratio * ratio, np.zeros_like(ratio)
    for term in _SERIES:
        series *= square
        series += term
    logarithm: NDArray[np.float64] = exponent * _LN2 + 2 * ratio * series
    return logarithm
