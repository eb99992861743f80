"""Where the trained window lies in the scaled picture. Decided before any pixel is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from simpletuner.core.keyed import derive_seed
from simpletuner.data.places.geometry import Placement

CropStyle = Literal["random", "center", "corner", "face"]


@dataclass(frozen=True)
class Crop:
    """Top left corner of the window, in pixels of the intermediary picture."""

    left: int
    top: int


def plan_crop(placement: Placement, style: CropStyle, *parts: object, focus: tuple[float, float] | None = None) -> Crop:
    """Choose the window. ``parts`` key a random one: (seed, data set id, relative path); other styles ignore them.

    ``focus`` is the centre of a face as fractions of the picture's width and height. The style face looks at it alone,
    and is random where there is none.
    """
    spare_x = placement.intermediary.width - placement.target.width
    spare_y = placement.intermediary.height - placement.target.height
    match style:
        case "corner":
            return Crop(0, 0)
        case "center":
            return Crop(spare_x // 2, spare_y // 2)
        case "face" if focus is not None:
            return _around(focus, placement)
        case "random" | "face":
            return Crop(
                derive_seed(*parts, "crop left") % (spare_x + 1), derive_seed(*parts, "crop top") % (spare_y + 1)
            )
        case _:
            assert_never(style)


def _around(focus: tuple[float, float], placement: Placement) -> Crop:
    whole, window = placement.intermediary, placement.target
    left = _centred(focus[0], whole.width, window.width)
    return Crop(left, _centred(focus[1], whole.height, window.height))


def _centred(fraction: float, whole: int, window: int) -> int:
    """Where ``window`` begins, in the middle of ``fraction`` and inside ``whole``."""
    return min(max(round(fraction * whole - window / 2), 0), whole - window)
