"""From a picture's size to its bucket: which size it is trained at, and how it is scaled on the way (SPEC 3.6, 3.7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

SizeUnit = Literal["pixel", "area", "pixel_area"]
CropAspect = Literal["square", "preserve"]

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
class GeometrySpec:
    """What decides sizes.

    ``resolution``, ``minimum``, ``maximum`` and ``downsample`` are in ``unit``; None is no limit. ``alignment`` is the
    pixel multiple of bucket sizes, ``rounding`` the decimals of an aspect ratio.
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


def bucket_of(size: Size, spec: GeometrySpec) -> tuple[str, Size]:
    """The bucket key of a picture and the size that its own numbers give that bucket."""
    if spec.square:
        edge = _square_edge(spec)
        return _key(Size(edge, edge), spec), Size(edge, edge)
    target = _target(size, spec.resolution, spec)
    return _key(target, spec), target


def place(width: int, height: int, spec: GeometrySpec, known: Mapping[str, Size] | None = None) -> Placement:
    """Place one picture. ``known`` is the resolution map: a key that is in it has the size it says."""
    size = Size(width, height)
    key, own = bucket_of(size, spec)
    target = (known or {}).get(key, own)
    return Placement(key, target, _intermediary(size, target, spec))


def resolution_map(
    sizes: Sequence[Size], spec: GeometrySpec, known: Mapping[str, Size] | None = None
) -> dict[str, Size]:
    """One size a key: ``known`` first, then the first of ``sizes`` with that key. Give ``sizes`` in path order."""
    found = dict(known or {})
    for size in sizes:
        key, target = bucket_of(size, spec)
        found.setdefault(key, target)
    return found


def place_all(
    sizes: Sequence[Size], spec: GeometrySpec, known: Mapping[str, Size] | None = None
) -> tuple[Placement, ...]:
    """Place pictures that share buckets, in path order, so that one key has one size."""
    shared = resolution_map(sizes, spec, known)
    return tuple(place(size.width, size.height, spec, shared) for size in sizes)


def _align(value: float, spec: GeometrySpec) -> int:
    """The nearest multiple of the alignment, halves to the even multiple, never below one."""
    return max(round(value / spec.alignment), 1) * spec.alignment


def _key(target: Size, spec: GeometrySpec) -> str:
    return str(float(round(target.width / target.height, spec.rounding)))


def _aspect(size: Size, spec: GeometrySpec) -> float:
    # A sliver's aspect rounds to 0, which has no reciprocal.
    return max(round(size.width / size.height, spec.rounding), 10.0**-spec.rounding)


def _square_edge(spec: GeometrySpec) -> int:
    if spec.unit == "area":
        for megapixels, edge in _SQUARE_EDGES.items():
            # 1.05 - 1.0 is a little more than 0.05 in binary.
            if round(abs(spec.resolution - megapixels), 9) <= _SQUARE_TOLERANCE:
                return _align(edge, spec)
    return _align(edge_pixels(spec.resolution, spec.unit), spec)


def _target(size: Size, resolution: float, spec: GeometrySpec) -> Size:
    aspect = _aspect(size, spec)
    if spec.unit == "pixel":
        return _shorter_edge_target(size, resolution, spec)
    edge = _align(edge_pixels(resolution, spec.unit), spec)
    return Size(_align(edge * math.sqrt(aspect), spec), _align(edge / math.sqrt(aspect), spec))


def _shorter_edge_target(size: Size, resolution: float, spec: GeometrySpec) -> Size:
    aspect = _aspect(size, spec)
    short = _align(resolution, spec)
    if size.width >= size.height:
        return Size(_align(int(resolution * aspect), spec), short)
    return Size(short, _align(int(resolution / aspect), spec))


def _intermediary(size: Size, target: Size, spec: GeometrySpec) -> Size:
    """SPEC 10.3 item 33: above the maximum a picture shrinks to the downsample size, any other covers the target."""
    if not _downsamples(size, spec):
        return cover(size, target)
    assert spec.downsample is not None
    shrunk = cover(size, _target(size, spec.downsample, spec))
    return shrunk if shrunk.covers(target) else cover(size, target)


def _downsamples(size: Size, spec: GeometrySpec) -> bool:
    if not spec.crop or spec.maximum is None or spec.downsample is None:
        return False
    return exceeds(size, spec.maximum, spec.unit)
