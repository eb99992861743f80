"""Which pictures are too small, or need a bucket that the model cannot take (SPEC 3.7)."""

from __future__ import annotations

from simpletuner.data.entries import Refusal
from simpletuner.data.geometry import GeometrySpec, Size, area_pixels, edge_pixels


def size_refusal(size: Size, spec: GeometrySpec) -> Refusal | None:
    """Why ``minimum_image_size`` leaves a picture out, or None. 0 and None are no limit."""
    if not spec.minimum:
        return None
    needed = _shortfall(size, spec.minimum, spec)
    if needed is None:
        return None
    return Refusal(
        f"below minimum_image_size {spec.minimum:g} ({spec.unit}): {size}, {needed}",
        "use a larger picture, or lower minimum_image_size (0 turns the limit off)",
    )


def edge_refusal(size: Size, target: Size, maximum_edge: int | None) -> Refusal | None:
    """Why a picture's bucket is beyond ``maximum_edge`` pixels, the longest edge that the model takes, or None."""
    if maximum_edge is None or max(target.width, target.height) <= maximum_edge:
        return None
    return Refusal(
        f"too extreme a shape: {size} would be trained at {target}, the model takes {maximum_edge} pixels an edge",
        'crop the picture to a less extreme shape, or set "crop": true with "crop_aspect": "square"',
    )


def _shortfall(size: Size, minimum: float, spec: GeometrySpec) -> str | None:
    shorter = min(size.width, size.height)
    if spec.unit == "pixel":
        return f"but the shorter edge needs {minimum:g} pixels" if shorter < minimum else None
    if size.width * size.height < area_pixels(minimum, spec.unit):
        return f"{size.width * size.height} pixels of the {area_pixels(minimum, spec.unit)} needed"
    # A large area can still hide an edge that a square crop would have to enlarge.
    edge = edge_pixels(minimum, spec.unit)
    return f"but a square crop needs {edge} pixels on both edges" if spec.square and shorter < edge else None
