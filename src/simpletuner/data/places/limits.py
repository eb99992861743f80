"""Which pictures do not fit: too small for their bucket, its shape not wanted, or their size not the one that was told.

SPEC 2.8, 3.3 and 3.7.
"""

from __future__ import annotations

import math

from simpletuner.data.entries import Refusal
from simpletuner.data.places.geometry import GeometrySpec, Placement, Size, area_pixels, edge_pixels

# 1 - 0.7 is a little more than 0.3 in binary.
_DECIMALS = 9
# A JPEG that is too large to decode whole is opened at one of these fractions.
_JPEG_PARTS = (1, 2, 4, 8)


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
        'crop the picture to a less extreme shape, set "crop": true with "crop_aspect": "square", or correct the '
        "resolution map if it has this bucket",
    )


def upscale_refusal(size: Size, target: Size, spec: GeometrySpec) -> Refusal | None:
    """Why a picture would be enlarged by more than ``max_upscale_threshold`` allows for ``target``, or None."""
    if spec.max_upscale is None or (needed := enlargement(size, target)) <= spec.max_upscale:
        return None
    return Refusal(
        f"needs more enlargement than max_upscale_threshold {spec.max_upscale:g}: "
        f"{size} would be enlarged to {target}, a fraction of {needed:.4g}",
        "use a larger picture, lower resolution, or raise max_upscale_threshold (1 allows any enlargement)",
    )


def aspect_refusal(key: str, spec: GeometrySpec) -> Refusal | None:
    """Why ``minimum_aspect_ratio`` or ``maximum_aspect_ratio`` leaves a whole bucket out, or None."""
    aspect = float(key)
    if spec.minimum_aspect is not None and aspect < spec.minimum_aspect:
        return _outside(key, f"below minimum_aspect_ratio {spec.minimum_aspect:g}", "lower minimum_aspect_ratio")
    if spec.maximum_aspect is not None and aspect > spec.maximum_aspect:
        return _outside(key, f"above maximum_aspect_ratio {spec.maximum_aspect:g}", "raise maximum_aspect_ratio")
    return None


def mismatch_refusal(told: Size, size: Size, *, jpeg: bool) -> Refusal | None:
    """Why a picture that is decoded at ``size`` is left out when the scan or a table ``told`` another one, or None.

    Both are upright. A ``jpeg`` may be decoded at a fraction of what was told.
    """
    parts = _JPEG_PARTS if jpeg else (1,)
    if any(size == Size(-(-told.width // part), -(-told.height // part)) for part in parts):
        return None
    reason = f"it was {told} when the data set was scanned and is {size}"
    if size == Size(told.height, told.width):
        return Refusal(
            f"{reason}, width and height exchanged",
            "write sizes as they are after EXIF rotation into the table, or take its width and height columns out; "
            "start again if the picture was turned meanwhile",
        )
    return Refusal(reason, "correct the table of sizes, or start again if the picture changed meanwhile")


def enlargement(size: Size, target: Size) -> float:
    """The fraction of ``target``'s mean edge that a picture lacks: 0 when its area suffices, towards 1 when tiny."""
    edges = math.sqrt(size.width * size.height / (target.width * target.height))
    return max(round(1 - edges, _DECIMALS), 0.0)


def lacking(size: Size, target: Size) -> float:
    """The fraction of an edge of ``target`` that a picture lacks to cover it: 0 when none, towards 1 when tiny."""
    return max(round(1 - min(size.width / target.width, size.height / target.height), _DECIMALS), 0.0)


def upscale_factor(size: Size, placement: Placement) -> float:
    """By how much the edges of a picture grow on the way to its window; 1.0 when it is not enlarged."""
    whole = placement.intermediary
    return max(whole.width / size.width, whole.height / size.height, 1.0)


def _outside(key: str, reason: str, cure: str) -> Refusal:
    return Refusal(f"{reason}: its bucket is {key}", f"crop the picture to a less extreme shape, or {cure}")


def _shortfall(size: Size, minimum: float, spec: GeometrySpec) -> str | None:
    shorter = min(size.width, size.height)
    if spec.unit == "pixel":
        return f"but the shorter edge needs {minimum:g} pixels" if shorter < minimum else None
    if size.width * size.height < area_pixels(minimum, spec.unit):
        return f"{size.width * size.height} pixels of the {area_pixels(minimum, spec.unit)} needed"
    # A large area can still hide an edge that a square crop would have to enlarge.
    edge = edge_pixels(minimum, spec.unit)
    return f"but a square crop needs {edge} pixels on both edges" if spec.square and shorter < edge else None
