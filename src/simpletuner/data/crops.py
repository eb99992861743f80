"""Where the trained window lies in the scaled picture. Decided before any pixel is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from simpletuner.core.keyed import derive_seed
from simpletuner.data.geometry import Placement

CropStyle = Literal["random", "center", "corner"]


@dataclass(frozen=True)
class Crop:
    """Top left corner of the window, in pixels of the intermediary picture."""

    left: int
    top: int


def plan_crop(placement: Placement, style: CropStyle, *parts: object) -> Crop:
    """Choose the window. ``parts`` key a random one: (seed, data set id, relative path); other styles ignore them."""
    spare_x = placement.intermediary.width - placement.target.width
    spare_y = placement.intermediary.height - placement.target.height
    match style:
        case "corner":
            return Crop(0, 0)
        case "center":
            return Crop(spare_x // 2, spare_y // 2)
        case "random":
            return Crop(
                derive_seed(*parts, "crop left") % (spare_x + 1), derive_seed(*parts, "crop top") % (spare_y + 1)
            )
        case _:
            assert_never(style)
