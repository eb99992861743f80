"""The resolution map, a file that a user may edit: which size the pictures of a bucket are trained at (SPEC 3.6.8)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simpletuner.config.reading.read import read_object
from simpletuner.core.errors import ConfigError
from simpletuner.core.files import write_json
from simpletuner.data.places.geometry import GeometrySpec, Size, area_pixels

_PIXELS_PER_MEGAPIXEL = 1_000_000


def map_file(folder: Path, spec: GeometrySpec) -> Path:
    """Where the map of a resolution lies in ``folder``; the name holds the area in megapixels, 1.048576 for 1024."""
    megapixels = area_pixels(spec.resolution, spec.unit) / _PIXELS_PER_MEGAPIXEL
    return folder / f"aspect_resolution_map-{megapixels}.json"


def read_map(path: Path, alignment_needed: int = 16) -> dict[str, Size]:
    """The size of each bucket key. Raises :class:`ConfigError` for anything but aspects and pairs of such edges.

    ``alignment_needed`` is what the model can take: both edges must be multiples of it.
    """
    found: dict[str, Size] = {}
    for written, value in read_object(path).items():
        key = _key(written, path)
        if key in found:
            raise ConfigError(f"is the same bucket as another key, {key}", file=path, key=written, cure="keep one")
        found[key] = _size(value, written, path, alignment_needed)
    return found


def write_map(path: Path, sizes: Mapping[str, Size]) -> None:
    """Write a map that :func:`read_map` reads, narrow buckets first."""
    write_json(path, {key: [sizes[key].width, sizes[key].height] for key in sorted(sizes, key=float)})


def _key(written: str, path: Path) -> str:
    """The key as buckets are named: "1.0" for "1"."""
    try:
        aspect = float(written)
    except ValueError:
        aspect = math.nan
    if not 0 < aspect < math.inf:
        raise ConfigError(
            "is no aspect ratio", file=path, key=written, cure='write width / height as a number in quotes: "1.54"'
        )
    return str(aspect)


def _size(value: Any, key: str, path: Path, alignment: int) -> Size:
    match value:
        case [int() as width, int() as height] if bool not in map(type, value) and min(value) > 0:
            pass
        case _:
            cure = "write [width, height] in pixels: [1280, 832]"
            raise ConfigError("must be two whole numbers above 0", file=path, key=key, cure=cure)
    if width % alignment or height % alignment:
        nearest = [max(round(edge / alignment), 1) * alignment for edge in value]
        raise ConfigError(
            f"{width}x{height} has an edge that is no multiple of {alignment}",
            file=path,
            key=key,
            cure=f"write {nearest}",
        )
    return Size(width, height)
