"""Losses of the same pictures at two times: how much they differ, and how sure that is. No torch here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error; None for a single value, which tells nothing of its spread."""

    value: float
    error: float | None

    def exceeds(self, errors: float) -> bool:
        """Whether it lies above 0 by more than so many standard errors."""
        return self.error is not None and self.value > errors * self.error


def mean_of(values: Sequence[float]) -> Mean:
    """The mean of at least one value and its standard error: the sample's deviation over the root of its size."""
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Mean(mean, None)
    return Mean(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count))


def difference(left: Sequence[float], right: Sequence[float]) -> Mean:
    """By how much ``left`` lies above ``right``, picture by picture.

    Pictures differ far more from each other than one of them from itself, so the error of the differences is much
    smaller than that of either mean (the paired test of Student 1908, Biometrika 6, 1).
    """
    return mean_of([one - other for one, other in zip(left, right, strict=True)])
