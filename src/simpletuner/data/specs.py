"""The one place of this room that reads a data set's configuration."""

from __future__ import annotations

from simpletuner.config.dataset import DatasetConfig
from simpletuner.data.buckets import Buckets
from simpletuner.data.captions import CaptionSpec
from simpletuner.data.geometry import GeometrySpec
from simpletuner.data.plan import PlannedDataset
from simpletuner.data.scan import ScanSpec


def geometry_spec(dataset: DatasetConfig) -> GeometrySpec:
    """What decides sizes; a limit of 0 is none."""
    return GeometrySpec(
        resolution=dataset.resolution,
        unit=dataset.resolution_type,
        crop=dataset.crop,
        crop_aspect=dataset.crop_aspect,
        alignment=dataset.aspect_bucket_alignment,
        rounding=dataset.aspect_bucket_rounding,
        minimum=dataset.minimum_image_size or None,
        maximum=dataset.maximum_image_size or None,
        downsample=dataset.target_downsample_size or None,
    )


def caption_spec(dataset: DatasetConfig) -> CaptionSpec:
    """What decides captions. Raises :class:`ConfigError` when an instance prompt is needed and absent."""
    return CaptionSpec(
        strategy=dataset.caption_strategy,
        instance_prompts=(dataset.instance_prompt,) if dataset.instance_prompt else (),
        prepend=dataset.prepend_instance_prompt,
        only=dataset.only_instance_prompt,
        split_lines=not dataset.disable_multiline_split,
    )


def scan_spec(dataset: DatasetConfig, maximum_edge: int | None = None) -> ScanSpec:
    """What a scan needs. ``maximum_edge`` is the longest edge in pixels that the model takes."""
    return ScanSpec(
        id=dataset.id,
        folder=str(dataset.instance_data_dir),
        geometry=geometry_spec(dataset),
        captions=caption_spec(dataset),
        crop_style=dataset.crop_style,
        max_num_samples=dataset.max_num_samples,
        maximum_edge=maximum_edge,
    )


def planned_dataset(dataset: DatasetConfig, buckets: Buckets, accumulation: int, ranks: int) -> PlannedDataset:
    """The data set as the plan sees it, with its own micro-batch size."""
    return PlannedDataset(dataset.id, buckets, dataset.repeats, dataset.train_batch_size * accumulation * ranks)
