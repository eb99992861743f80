"""How much of the target's variance a loss leaves unexplained, in all and by noise level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from simpletuner.core.batch import Latents


class Moments:
    """Mean and variance of each channel of latents, picture by picture; every picture counts alike, whatever its size.

    The latents are draws from the posteriors, whose own variance adds to that of their means.
    """

    def __init__(self) -> None:
        self._first: Tensor | float = 0.0
        self._second: Tensor | float = 0.0
        self._weight = 0.0

    def add(self, latents: Latents, weight: float = 1.0) -> None:
        """Count the posterior of a picture, (C, h, w), so many times."""
        mean, variance = latents.mean.double(), latents.logvar.double().exp()
        self._first += weight * mean.mean(dim=(1, 2))
        self._second += weight * (mean.square() + variance).mean(dim=(1, 2))
        self._weight += weight

    def variance(self) -> float:
        """The variance about each channel's own mean, averaged over channels. At least one picture has been added."""
        mean = torch.as_tensor(self._first) / self._weight
        return float((torch.as_tensor(self._second) / self._weight - mean.square()).mean())


def target_variance(variance: float) -> float:
    """The variance of the target ``noise - latents``, the same at every sigma: noise is independent, of variance 1.

    It is the loss of the best constant, which knows each channel's mean and does not look at the picture.
    """
    return 1 + variance


def explained(loss: float, variance: float) -> float:
    """The share of the target's ``variance`` that a ``loss`` explains (R squared): 1 is all, below 0 harms.

    No model reaches 1: at sigma 0 the noise is unknown, at sigma 1 the picture is.
    """
    return 1 - loss / variance


def bin_of(sigma: float, count: int) -> int:
    """Which of ``count`` equal parts of 0 to 1 holds ``sigma``, from 0 (almost the image)."""
    return min(int(sigma * count), count - 1)


def bin_means(pairs: Iterable[tuple[float, float]], count: int) -> dict[int, float]:
    """The mean loss in each of ``count`` bins, of ``pairs`` of sigma and loss; bins without any are left out."""
    found: dict[int, list[float]] = {}
    for sigma, loss in pairs:
        found.setdefault(bin_of(sigma, count), []).append(loss)
    return {number: _mean(losses) for number, losses in sorted(found.items())}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
