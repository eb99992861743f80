"""From a picture's size to its bucket: which size it is trained at, and how it is scaled on the way (SPEC 3.6, 3.7)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SizeUnit = Literal["pixel", "area", "pixel_area"]
CropAspect = Literal["square", "preserve", "closest", "random"]

_PIXELS_PER_MEGAPIXEL = 1_000_000
# Square crops of these areas have a conventional edge that plain rounding would miss (SPEC 3.6.5).
_SQUARE_EDGES = {0.25: 512, 0.5: 768, 1.0: 1024, 2.0: 1536, 4.0: 2048}
_SQUARE_TOLERANCE = 0.05


@dataclass(frozen=True, order=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        """``1280x832``, as messages and reports show it."""
        return f"{self.width}x{self.height}"

    def covers(self, other: Size) -> bool:
        """Whether ``other`` fits inside."""
        return self.width >= other.width and self.height >= other.height


@dataclass(frozen=True)
class WeightedAspect:
    """A shape that pictures may be cropped to, width / height, and how often it is drawn beside the others.

    Both are above 0. The weights of a list need not add up to 1.
    """

    aspect: float
    weight: float = 1.0


@dataclass(frozen=True)
class GeometrySpec:
    """What decides sizes.

    ``resolution``, ``minimum``, ``maximum`` and ``downsample`` are in ``unit``; None is no limit. ``alignment`` is the
    pixel multiple of bucket sizes, ``rounding`` the decimals of an aspect ratio. ``aspects`` are the shapes of the crop
    aspects closest and random. ``max_upscale`` is the fraction of enlargement that is still allowed, 0 to 1;
    ``minimum_aspect`` and ``maximum_aspect`` bound the keys of buckets.
    """

    resolution: float
    unit: SizeUnit = "pixel_area"
    crop: bool = False
    crop_aspect: CropAspect = "square"
    alignment: int = 64
    rounding: int = 2
    minimum: float | None = None
    maximum: float | None = None
    downsample: float | None = None
    aspects: tuple[WeightedAspect, ...] = ()
    max_upscale: float | None = None
    minimum_aspect: float | None = None
    maximum_aspect: float | None = None

    @property
    def square(self) -> bool:
        """Whether every picture becomes one square."""
        return self.crop and self.crop_aspect == "square"


@dataclass(frozen=True)
class Placement:
    """The bucket ``key``, the size trained at, and the size that the whole picture has before it is trimmed to it."""

    key: str
    target: Size
    intermediary: Size


def area_pixels(value: float, unit: SizeUnit) -> int:
    """The area in pixels that ``value`` stands for. ``pixel`` counts an edge, so its square."""
    return round(value * _PIXELS_PER_MEGAPIXEL) if unit == "area" else round(value * value)


def edge_pixels(value: float, unit: SizeUnit) -> int:
    """The edge in whole pixels of the square that ``value`` stands for, before it is aligned."""
    return math.isqrt(area_pixels(value, unit)) if unit == "area" else math.floor(value)


def exceeds(size: Size, value: float, unit: SizeUnit) -> bool:
    """Whether a picture is larger than ``value``: by its shorter edge for ``pixel``, by its area otherwise."""
    if unit == "pixel":
        return min(size.width, size.height) > value
    return size.width * size.height > area_pixels(value, unit)


def cover(source: Size, target: Size) -> Size:
    """``source`` scaled, aspect kept and truncated to whole pixels, to the least size that holds ``target``."""
    if source.width * target.height >= source.height * target.width:
        return Size(target.height * source.width // source.height, target.height)
    return Size(target.width, target.width * source.height // source.width)


def bucket_of(size: Size, spec: GeometrySpec, aspect: float | None = None) -> tuple[str, Size]:
    """The bucket key of a picture and the size that its own numbers give that bucket.

    ``aspect`` is the shape it is cropped to instead of its own; a square crop stays a square.
    """
    if spec.square:
        edge = _square_edge(spec)
        return _key(Size(edge, edge), spec), Size(edge, edge)
    target = _target(aspect or size.width / size.height, spec.resolution, spec)
    return _key(target, spec), target


def place(
    width: int, height: int, spec: GeometrySpec, known: Mapping[str, Size] | None = None, aspect: float | None = None
) -> Placement:
    """Place one picture. ``known`` is the resolution map: a key that is in it has the size it says.

    ``aspect`` is as in :func:`bucket_of`.
    """
    size = Size(width, height)
    key, own = bucket_of(size, spec, aspect)
    return place_in(size, key, (known or {}).get(key, own), spec)


def place_in(size: Size, key: str, target: Size, spec: GeometrySpec) -> Placement:
    """Place one picture in a bucket that is chosen already."""
    return Placement(key, target, _intermediary(size, target, spec))


def _align(value: float, spec: GeometrySpec) -> int:
    """The nearest multiple of the alignment, halves to the even multiple, never below one."""
    return max(round(value / spec.alignment), 1) * spec.alignment


def _key(target: Size, spec: GeometrySpec) -> str:
    return str(float(round(target.width / target.height, spec.rounding)))


def _square_edge(spec: GeometrySpec) -> int:
    if spec.unit == "area":
        for megapixels, edge in _SQUARE_EDGES.items():
            # 1.05 - 1.0 is a little more than 0.05 in binary.
            if round(abs(spec.resolution - megapixels), 9) <= _SQUARE_TOLERANCE:
                return _align(edge, spec)
    return _align(edge_pixels(spec.resolution, spec.unit), spec)


def _target(aspect: float, resolution: float, spec: GeometrySpec) -> Size:
    # A sliver's aspect rounds to 0, which has no reciprocal.
    rounded = max(round(aspect, spec.rounding), 10.0**-spec.rounding)
    edge = _align(edge_pixels(resolution, spec.unit), spec)
    if spec.unit != "pixel":
        return Size(_align(edge * math.sqrt(rounded), spec), _align(edge / math.sqrt(rounded), spec))
    if rounded >= 1:
        return Size(_align(int(resolution * rounded), spec), edge)
    return Size(edge, _align(int(resolution / rounded), spec))


def _intermediary(size: Size, target: Size, spec: GeometrySpec) -> Size:
    """SPEC 10.3 item 33: above the maximum a picture shrinks to the downsample size, any other covers the target."""
    if not _downsamples(size, spec):
        return cover(size, target)
    assert spec.downsample is not None
    shrunk = cover(size, _target(size.width / size.height, spec.downsample, spec))
    return shrunk if shrunk.covers(target) else cover(size, target)


def _downsamples(size: Size, spec: GeometrySpec) -> bool:
    if not spec.crop or spec.maximum is None or spec.downsample is None:
        return False
    return exceeds(size, spec.maximum, spec.unit)
