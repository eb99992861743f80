"""The one place of this room that reads a data set's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.sections.data import DataConfig
from simpletuner.data.captions.candidates import CaptionSpec, CaptionStrategy
from simpletuner.data.captions.filters import read_filters
from simpletuner.data.captions.shuffle import ShuffleSpec
from simpletuner.data.files.scan import ScanSpec
from simpletuner.data.order.plan import PlannedDataset
from simpletuner.data.places.arrange import ArrangeSpec
from simpletuner.data.places.buckets import Buckets
from simpletuner.data.places.geometry import GeometrySpec, Size, WeightedAspect
from simpletuner.data.places.maps import map_file, read_map
from simpletuner.data.sources.bucket import BucketSpec
from simpletuner.data.sources.csv import CsvSpec
from simpletuner.data.sources.folder import FolderSpec
from simpletuner.data.sources.hub import HubFilter, HubSpec
from simpletuner.data.sources.open import SourceSpec
from simpletuner.data.sources.shards import ShardSpec
from simpletuner.data.sources.tables import TableSpec


def geometry_spec(dataset: DatasetConfig) -> GeometrySpec:
    """What decides sizes; a limit of 0 is none. Masks and references are never too small (SPEC 3.7)."""
    partner = dataset.dataset_type == "conditioning"
    return GeometrySpec(
        resolution=dataset.resolution,
        unit=dataset.resolution_type,
        crop=dataset.crop,
        crop_aspect=dataset.crop_aspect,
        alignment=dataset.aspect_bucket_alignment,
        rounding=dataset.aspect_bucket_rounding,
        minimum=None if partner else dataset.minimum_image_size or None,
        maximum=dataset.maximum_image_size or None,
        downsample=dataset.target_downsample_size or None,
        aspects=tuple(WeightedAspect(item.aspect, item.weight) for item in dataset.crop_aspect_buckets),
        max_upscale=None if partner else dataset.max_upscale_threshold,
        minimum_aspect=None if partner else dataset.minimum_aspect_ratio,
        maximum_aspect=None if partner else dataset.maximum_aspect_ratio,
    )


def caption_spec(dataset: DatasetConfig, seed: int) -> CaptionSpec:
    """What decides captions. Raises :class:`ConfigError` when an instance prompt is needed and absent."""
    if dataset.dataset_type == "conditioning":
        return CaptionSpec()
    filters, notes = read_filters(dataset.caption_filter_list, Path())
    return CaptionSpec(
        strategy=_strategy(dataset),
        instance_prompts=dataset.instance_prompt,
        prepend=dataset.prepend_instance_prompt,
        only=dataset.only_instance_prompt,
        split_lines=not dataset.disable_multiline_split,
        filters=filters,
        shuffle=_shuffle(dataset, seed),
        fallback_to_filename=dataset.caption_strategy == "parquet",
        notes=notes,
    )


def _strategy(dataset: DatasetConfig) -> CaptionStrategy:
    match dataset.caption_strategy:
        case "filename" | "textfile" | "instanceprompt" as strategy:
            return strategy
        case "parquet" | "huggingface" | "csv" | "webshart":
            return "table"
        case _:
            assert_never(dataset.caption_strategy)


def _shuffle(dataset: DatasetConfig, seed: int) -> ShuffleSpec | None:
    asked = dataset.caption_shuffle
    if not asked.enable:
        return None
    return ShuffleSpec(
        count=asked.count,
        seed=seed if asked.seed is None else asked.seed,
        split_on=asked.split_on,
        position_start=asked.position_start,
        include_original=asked.include_original,
    )


def scan_spec(
    dataset: DatasetConfig, seed: int, maximum_edge: int | None = None, output_dir: Path | None = None
) -> ScanSpec:
    """What a scan needs. ``maximum_edge`` is the longest edge in pixels that the model takes; ``output_dir`` may hold
    the user's resolution map.

    Raises :class:`ConfigError` when that map is wrong, or an instance prompt is needed and absent.
    """
    geometry = geometry_spec(dataset)
    return ScanSpec(
        id=dataset.id,
        geometry=geometry,
        captions=caption_spec(dataset, seed),
        crop_style=dataset.crop_style,
        max_num_samples=dataset.max_num_samples,
        maximum_edge=None if dataset.dataset_type == "conditioning" else maximum_edge,
        known_sizes=_known_sizes(geometry, output_dir) if output_dir else None,
    )


def _known_sizes(geometry: GeometrySpec, output_dir: Path) -> Mapping[str, Size] | None:
    drawn = map_file(output_dir, geometry)
    return read_map(drawn) if drawn.is_file() and not geometry.square else None


def arrange_spec(dataset: DatasetConfig, options: DataConfig, scanned: ScanSpec, slices: int) -> ArrangeSpec:
    """What decides places of what was ``scanned``, with its map and limits; ``slices`` is accumulation x processes."""
    return ArrangeSpec(
        geometry=scanned.geometry,
        crop_style=scanned.crop_style,
        known_sizes=scanned.known_sizes,
        maximum_edge=scanned.maximum_edge,
        anew=crops_anew(dataset),
        redraw=not options.aspect_bucket_disable_rebuild,
        merge_below=dataset.train_batch_size * slices if dataset.bucket_mixing == "merge" else 0,
        repeats=dataset.repeats,
    )


def crops_anew(dataset: DatasetConfig) -> bool:
    """Whether windows move in each epoch: as asked for, else where they are random (SPEC 10.3 item 43)."""
    if dataset.dataset_type != "image":
        return False
    if dataset.vae_cache_clear_each_epoch is not None:
        return dataset.vae_cache_clear_each_epoch
    return dataset.crop and dataset.crop_style == "random"


def planned_dataset(dataset: DatasetConfig, options: DataConfig, buckets: Buckets, slices: int) -> PlannedDataset:
    """The data set as the plan sees it, with its own micro-batch size; ``slices`` is accumulation x processes."""
    return PlannedDataset(
        id=dataset.id,
        buckets=buckets,
        repeats=dataset.repeats,
        batch=dataset.train_batch_size * slices,
        micro_batch=dataset.train_batch_size,
        probability=dataset.probability,
        start_epoch=dataset.start_epoch,
        start_step=dataset.start_step,
        end_epoch=dataset.end_epoch,
        end_step=dataset.end_step,
        oversubscribe=options.allow_dataset_oversubscription,
        mixing="pad" if dataset.bucket_mixing == "pad" else "bucket",
        merged=dataset.bucket_mixing == "merge",
    )


def source_spec(dataset: DatasetConfig, options: DataConfig) -> SourceSpec:
    """Where the pictures lie."""
    match dataset.type:
        case "local":
            return FolderSpec(str(dataset.instance_data_dir))
        case "aws":
            return _bucket(dataset, options)
        case "csv":
            return _csv(dataset)
        case "huggingface":
            return _hub(dataset)
        case "webshart":
            return ShardSpec(str(dataset.source))
        case _:
            assert_never(dataset.type)


def _bucket(dataset: DatasetConfig, options: DataConfig) -> BucketSpec:
    key, secret = dataset.aws_access_key_id, dataset.aws_secret_access_key
    return BucketSpec(
        bucket=dataset.aws_bucket_name or "",
        prefix=dataset.aws_data_prefix,
        region=dataset.aws_region_name,
        endpoint=dataset.aws_endpoint_url,
        key=key.get_secret_value() if key else None,
        secret=secret.get_secret_value() if secret else None,
        max_connections=options.aws_max_pool_connections,
    )


def _csv(dataset: DatasetConfig) -> CsvSpec:
    return CsvSpec(
        file=dataset.csv_file or "",
        caption_column=dataset.csv_caption_column or "",
        folder=str(dataset.csv_cache_dir),
        url_column=dataset.csv_url_column,
    )


def _hub(dataset: DatasetConfig) -> HubSpec:
    columns = dataset.huggingface
    asked = columns.filter_func
    return HubSpec(
        dataset=dataset.dataset_name or "",
        split=dataset.split,
        revision=dataset.revision,
        image_column=dataset.image_column,
        caption_columns=dataset.hub_captions,
        fallback_caption_column=columns.fallback_caption_column or columns.description_column,
        width_column=columns.width_column,
        height_column=columns.height_column,
        cache_dir=str(dataset.cache_dir) if dataset.cache_dir else None,
        num_proc=dataset.num_proc,
        filter=HubFilter(
            min_width=asked.min_width or 0,
            min_height=asked.min_height or 0,
            quality_column=asked.quality_column,
            quality_thresholds=dict(asked.quality_thresholds),
            collection=asked.collection,
        ),
    )


def table_spec(dataset: DatasetConfig) -> TableSpec | None:
    """The table that says captions and sizes, when there is one."""
    asked = dataset.parquet
    if asked is None or dataset.metadata_backend != "parquet":
        return None
    return TableSpec(
        path=asked.path,
        filename_column=asked.filename_column,
        caption_columns=asked.caption_column,
        fallback_caption_column=asked.fallback_caption_column,
        width_column=asked.width_column,
        height_column=asked.height_column,
        identifier_includes_extension=asked.identifier_includes_extension,
    )
