"""Sanity of the sizes of one data set, in the units that its ``resolution_type`` gives them."""

from __future__ import annotations

import math

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.reading.fill import Source
from simpletuner.core.errors import ConfigError

_MOST_MEGAPIXELS = 20
_FEWEST_PIXELS = 16
_SIZES = ("resolution", "minimum_image_size", "maximum_image_size", "target_downsample_size")


def in_units(size: float | None, given: str, wanted: str) -> float | None:
    """``size`` from the unit of one ``resolution_type`` in the unit of another: edges in pixels, or megapixels."""
    if not size or (given == "area") == (wanted == "area"):
        return size
    return size**2 / 1e6 if wanted == "area" else math.sqrt(size * 1e6)


def size_problems(dataset: DatasetConfig, source: Source) -> list[ConfigError]:
    """Sizes that are surely in the wrong unit, a maximum without the size to scale down to, or with one above it."""
    problems = [problem for key in _SIZES if (problem := _unit_problem(dataset, key, source)) is not None]
    if dataset.maximum_image_size and not dataset.target_downsample_size:
        cure = 'add "target_downsample_size", the size that larger pictures are scaled to'
        problems.append(source.problem("maximum_image_size", "stands without target_downsample_size", cure))
    if dataset.maximum_image_size and (dataset.target_downsample_size or 0) > dataset.maximum_image_size:
        target, most = dataset.target_downsample_size, dataset.maximum_image_size
        reason = f"{target:g} is above maximum_image_size {most:g}: pictures between them would be enlarged"
        problems.append(source.problem("target_downsample_size", reason, f"use at most {most:g}"))
    return problems


def _unit_problem(dataset: DatasetConfig, key: str, source: Source) -> ConfigError | None:
    size = dataset.model_dump(include={key})[key]
    unit = f"with resolution_type {dataset.resolution_type}"
    if not size:
        return None
    if dataset.resolution_type == "area" and size >= _MOST_MEGAPIXELS:
        return source.problem(key, f"{size:g} is in megapixels {unit}", "use pixel_area for an edge in pixels")
    if dataset.resolution_type != "area" and size < _FEWEST_PIXELS:
        return source.problem(key, f"{size:g} is in pixels {unit}", "use area for megapixels")
    return None
