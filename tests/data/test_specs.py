from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.dataset import DatasetConfig
from simpletuner.core.errors import ConfigError
from simpletuner.core.samples import SampleId
from simpletuner.data.captions import CaptionSpec
from simpletuner.data.geometry import GeometrySpec
from simpletuner.data.plan import PlannedDataset
from simpletuner.data.specs import caption_spec, geometry_spec, planned_dataset, scan_spec


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
    spec = scan_spec(dataset, maximum_edge=3072)
    assert spec.geometry == GeometrySpec(512, "pixel_area", crop=True, minimum=512, maximum=512, downsample=512)
    assert spec.captions == CaptionSpec("filename")
    assert (spec.id, spec.folder, spec.crop_style, spec.maximum_edge) == ("set", "/pictures", "center", 3072)


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
        instance_prompt="sks",
        prepend_instance_prompt=True,
        only_instance_prompt=True,
        disable_multiline_split=True,
    )
    assert caption_spec(dataset) == CaptionSpec("textfile", ("sks",), prepend=True, only=True, split_lines=False)
    with pytest.raises(ConfigError, match="instance_prompt"):
        caption_spec(config(caption_strategy="instanceprompt"))


def test_the_global_batch_counts_accumulation_and_ranks() -> None:
    buckets = {"1.0": (SampleId("set", "a.png"),)}
    planned = planned_dataset(config(repeats=7, train_batch_size=3), buckets, 2, 4)
    assert planned == PlannedDataset("set", buckets, repeats=7, batch=24)
