from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.datasets.blocks import AspectChoice, CaptionShuffle, ParquetTable
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.sections.data import DataConfig
from simpletuner.core.errors import ConfigError
from simpletuner.core.samples import SampleId
from simpletuner.data.captions.candidates import CaptionSpec
from simpletuner.data.captions.shuffle import ShuffleSpec
from simpletuner.data.order.plan import PlannedDataset
from simpletuner.data.places.geometry import GeometrySpec, Size, WeightedAspect
from simpletuner.data.places.maps import write_map
from simpletuner.data.sources.bucket import BucketSpec
from simpletuner.data.sources.csv import CsvSpec
from simpletuner.data.sources.folder import FolderSpec
from simpletuner.data.sources.hub import HubSpec
from simpletuner.data.sources.shards import ShardSpec
from simpletuner.data.sources.tables import TableSpec
from simpletuner.data.specs import (
    arrange_spec,
    caption_spec,
    crops_anew,
    geometry_spec,
    planned_dataset,
    scan_spec,
    source_spec,
    table_spec,
)

OPTIONS = DataConfig()


def config(**options: Any) -> DatasetConfig:
    return DatasetConfig(
        **{"id": "set", "instance_data_dir": Path("/pictures"), "cache_dir_vae": Path("/cache")} | options
    )


def test_the_documents_first_data_set() -> None:
    dataset = config(
        crop=True,
        crop_style="center",
        resolution=512,
        minimum_image_size=512,
        maximum_image_size=512,
        target_downsample_size=512,
    )
    spec = scan_spec(dataset, seed=1, maximum_edge=3072)
    assert spec.geometry == GeometrySpec(512, "pixel_area", crop=True, minimum=512, maximum=512, downsample=512)
    assert spec.captions == CaptionSpec("filename")
    assert (spec.id, spec.crop_style, spec.maximum_edge) == ("set", "center", 3072)
    assert source_spec(dataset, OPTIONS) == FolderSpec("/pictures")
    assert not crops_anew(dataset)


def test_a_limit_of_zero_is_none() -> None:
    spec = geometry_spec(config(minimum_image_size=0, maximum_image_size=0, target_downsample_size=0))
    assert (spec.minimum, spec.maximum, spec.downsample) == (None, None, None)


def test_alignment_rounding_and_units_are_read() -> None:
    spec = geometry_spec(
        config(resolution_type="area", resolution=1.5, aspect_bucket_alignment=16, aspect_bucket_rounding=3)
    )
    assert spec == GeometrySpec(1.5, "area", alignment=16, rounding=3)


def test_captions_are_read() -> None:
    dataset = config(
        caption_strategy="textfile",
        instance_prompt=("sks",),
        prepend_instance_prompt=True,
        only_instance_prompt=True,
        disable_multiline_split=True,
    )
    assert caption_spec(dataset, 1) == CaptionSpec("textfile", ("sks",), prepend=True, only=True, split_lines=False)
    with pytest.raises(ConfigError, match="instance_prompt"):
        caption_spec(config(caption_strategy="instanceprompt"), 1)


def test_the_global_batch_counts_accumulation_and_ranks() -> None:
    buckets = {"1.0": (SampleId("set", "a.png"),)}
    asked = config(repeats=7, train_batch_size=3, probability=0.5, start_step=4, end_epoch=9, bucket_mixing="pad")
    planned = planned_dataset(asked, DataConfig(allow_dataset_oversubscription=True), buckets, slices=8)
    assert planned == PlannedDataset(
        "set",
        buckets,
        repeats=7,
        batch=24,
        micro_batch=3,
        probability=0.5,
        start_step=4,
        end_epoch=9,
        oversubscribe=True,
        mixing="pad",
    )


def test_shapes_and_their_limits_are_read() -> None:
    spec = geometry_spec(
        config(
            crop=True,
            crop_aspect="closest",
            crop_aspect_buckets=(AspectChoice(1.0, 0.25), AspectChoice(0.5, 0.75)),
            max_upscale_threshold=0.2,
            minimum_aspect_ratio=0.4,
            maximum_aspect_ratio=2.5,
        )
    )
    assert spec.aspects == (WeightedAspect(1.0, 0.25), WeightedAspect(0.5, 0.75))
    assert (spec.max_upscale, spec.minimum_aspect, spec.maximum_aspect) == (0.2, 0.4, 2.5)


def test_masks_are_never_too_small_and_need_no_caption() -> None:
    dataset = config(
        dataset_type="conditioning",
        conditioning_type="mask",
        minimum_image_size=512,
        maximum_aspect_ratio=2,
        caption_strategy="instanceprompt",
    )
    spec = scan_spec(dataset, seed=1, maximum_edge=3072)
    assert (spec.geometry.minimum, spec.geometry.maximum_aspect, spec.maximum_edge) == (None, None, None)
    assert spec.captions == CaptionSpec()


@pytest.mark.parametrize("seed", [None, 7])
def test_shuffling_takes_the_runs_seed_where_it_has_none(seed: int | None) -> None:
    shuffle = CaptionShuffle(enable=True, count=3, seed=seed, split_on="space", position_start=2)
    assert caption_spec(config(caption_shuffle=shuffle), 42).shuffle == ShuffleSpec(3, seed or 42, "space", 2)
    assert caption_spec(config(caption_shuffle=CaptionShuffle(count=3)), 42).shuffle is None


def test_random_windows_move_unless_they_are_told_not_to() -> None:
    assert crops_anew(config(crop=True))
    assert not crops_anew(config(crop=True, vae_cache_clear_each_epoch=False))
    assert not crops_anew(config())
    assert crops_anew(config(vae_cache_clear_each_epoch=True))
    assert not crops_anew(config(crop=True, dataset_type="eval"))


def test_places_are_read(tmp_path: Path) -> None:
    asked = config(bucket_mixing="merge", train_batch_size=2, repeats=3)
    spec = arrange_spec(asked, OPTIONS, scan_spec(asked, 1, output_dir=tmp_path), slices=6)
    assert (spec.merge_below, spec.repeats, spec.known_sizes, spec.redraw) == (12, 3, None, True)


def test_a_map_is_read_once_for_the_scan_and_for_places(tmp_path: Path) -> None:
    path = tmp_path / "aspect_resolution_map-1.048576.json"
    write_map(path, {"1.5": Size(1216, 832)})
    scanned = scan_spec(config(), 1, 3072, tmp_path)
    path.unlink()
    spec = arrange_spec(config(), OPTIONS, scanned, 1)
    assert scanned.known_sizes == spec.known_sizes == {"1.5": Size(1216, 832)}
    assert scanned.maximum_edge == spec.maximum_edge == 3072
    assert scan_spec(config(), 1).known_sizes is None
    write_map(path, {"1.5": Size(1216, 832)})
    assert scan_spec(config(crop=True), 1, output_dir=tmp_path).known_sizes is None, "squares need none"


def test_what_is_odd_about_filters_is_noted() -> None:
    (note,) = caption_spec(config(caption_filter_list=("(unclosed", "pizza")), 1).notes
    assert "no valid regular expression" in note


def test_sources_are_read() -> None:
    bucket = config(
        type="aws", aws_bucket_name="b", aws_data_prefix="p", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    expected = BucketSpec("b", "p", key="key", secret="secret", max_connections=128)
    assert source_spec(bucket, OPTIONS) == expected
    assert "secret" not in repr(bucket).replace("aws_secret_access_key", "")
    csv = config(type="csv", csv_file="/f.csv", csv_caption_column="text", csv_cache_dir=Path("/downloads"))
    assert source_spec(csv, OPTIONS) == CsvSpec("/f.csv", "text", "/downloads", "url")
    hub = source_spec(config(type="huggingface", dataset_name="a/b", caption_column=("text",)), OPTIONS)
    assert isinstance(hub, HubSpec)
    assert (hub.dataset, hub.caption_columns, hub.split) == ("a/b", ("text",), "train")
    assert source_spec(config(type="webshart", source="/shards"), OPTIONS) == ShardSpec("/shards")


def test_a_table_counts_where_it_is_asked_for() -> None:
    table = ParquetTable(path="/t.parquet", filename_column="name", caption_column=("text", "alt"), width_column="w")
    asked = config(parquet=table, metadata_backend="parquet", caption_strategy="parquet")
    assert table_spec(asked) == TableSpec("/t.parquet", "name", ("text", "alt"), width_column="w")
    assert caption_spec(asked, 1).fallback_to_filename
    assert table_spec(config(parquet=table)) is None
