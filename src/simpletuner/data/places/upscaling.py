"""Which pictures are enlarged on the way to their window, and by how much: the blur is learned with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simpletuner.data.places.arrange import Arrangement
from simpletuner.data.places.geometry import Size, place_in
from simpletuner.data.places.limits import upscale_factor

_WHOLE = 10
STRONG = 1.5
"""Enlarging the edges by more than this is told as a problem."""


@dataclass(frozen=True)
class Upscaling:
    """``count`` pictures are enlarged, ``strong`` of them by more than :data:`STRONG`; the worst is the first in path
    order that is enlarged by ``factor``, 1.0 when none is.
    """

    count: int = 0
    strong: int = 0
    factor: float = 1.0
    file: str = ""

    @property
    def shown(self) -> str:
        """The factor for a person: ``1.7``, ``130``."""
        return f"{self.factor:,.0f}" if self.factor >= _WHOLE else f"{self.factor:.2g}"


def upscaling(made: Arrangement) -> Upscaling:
    """Measure a data set. Pictures of one size in one bucket are worked out once."""
    factors = _factors(made)
    if not len(factors) or (worst := float(factors.max())) <= 1.0:
        return Upscaling()
    return Upscaling(
        count=int((factors > 1.0).sum()),
        strong=int((factors > STRONG).sum()),
        factor=worst,
        file=made.table.paths[int(factors.argmax())],
    )


def _factors(made: Arrangement) -> NDArray[np.float64]:
    """By how much the edges of each picture grow, (N,)."""
    table = made.table
    shapes = np.stack([table.widths, table.heights, made.codes], axis=1)
    unique, inverse = np.unique(shapes, axis=0, return_inverse=True)
    found = [_factor(made, *(int(number) for number in shape)) for shape in unique]
    return np.asarray(found, dtype=np.float64)[inverse.reshape(-1)]


def _factor(made: Arrangement, width: int, height: int, code: int) -> float:
    size = Size(width, height)
    placement = place_in(size, made.keys[code], made.targets[code], made.spec.geometry)
    return round(upscale_factor(size, placement), 4)
