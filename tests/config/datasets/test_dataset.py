from __future__ import annotations

from typing import Any

import pytest

from simpletuner.config.datasets.dataset import REFUSED_KEYS, SECRET_KEYS, UNREAD_KEYS, DatasetConfig
from simpletuner.config.option import facts_of


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("crop_aspect", "preserve", "preserve"),
        ("crop_style", "face", "face"),
        ("crop_style", "centre", "center"),
        ("minimum_aspect_ratio", "0.5", 0.5),
        ("maximum_aspect_ratio", 2, 2.0),
        ("max_upscale_threshold", "0.2", 0.2),
        ("max_upscale_threshold", 1, 1.0),
        ("bucket_mixing", "merge", "merge"),
        ("bucket_mixing", "pad", "pad"),
        ("probability", "0.5", 0.5),
        ("probability", 7, 7.0),
        ("repeats", "3", 3),
        ("timestep_sampling_offset", "-0.5", -0.5),
        ("timestep_sampling_offset", 1, 1.0),
        ("max_num_samples", 10.0, 10),
        ("end_epoch", "4", 4),
        ("end_step", 10, 10),
        ("end_step", "0", None),
        ("end_epoch", 0, None),
        ("start_step", 1, 1),
        ("vae_cache_clear_each_epoch", "true", True),
        ("vae_cache_clear_each_epoch", None, None),
        ("skip_file_discovery", "aspect, VAE text", ("aspect", "vae", "text")),
        ("skip_file_discovery", ["aspect", "metadata"], ("aspect", "metadata")),
        ("instance_prompt", "a cat, sitting", ("a cat, sitting",)),
        ("instance_prompt", ["a cat", "the cat", "a cat"], ("a cat", "the cat")),
        ("preserve_data_backend_cache", "on", True),
        ("scan_for_errors", True, True),
        ("vae_cache_scan_behaviour", "sync", "sync"),
        ("override_dataset_config", True, True),
        ("metadata_update_interval", 60, 60),
        ("write_batch_size", "1", 1),
        ("hash_filenames", True, True),
        ("delete_unwanted_images", "yes", True),
        ("delete_problematic_images", "yes", True),
        ("disable_multiline_split", "1", True),
        ("aspect_bucket_alignment", "16", 16),
        ("metadata_backend", "json", "json"),
        ("num_proc", "2", 2),
    ],
)
def test_good_values(project: Any, key: str, written: Any, value: Any) -> None:
    assert dict(project.one(**{key: written}))[key] == value


@pytest.mark.parametrize(
    ("key", "written", "told"),
    [
        ("type", "s3", "allowed: local, aws, csv, huggingface, webshart"),
        ("type", "memory", "is for embed caches, and caches lie on local disks"),
        ("dataset_type", "audio", "is not for OmniGen"),
        ("crop_aspect", "closet", "did you mean 'closest'?"),
        ("crop_style", "left", "allowed: random, center, corner, face"),
        ("minimum_aspect_ratio", 0, "must be above 0"),
        ("maximum_aspect_ratio", "wide", "not a number"),
        ("max_upscale_threshold", 1.1, "must be at most 1"),
        ("max_upscale_threshold", -0.1, "must be at least 0"),
        ("bucket_mixing", "merged", "did you mean 'merge'?"),
        ("probability", -0.5, "must be at least 0"),
        ("max_num_samples", 0, "must be at least 1"),
        ("start_epoch", -1, "must be at least 0"),
        ("start_step", 1.5, "not a whole number"),
        ("end_step", "soon", "not a number"),
        ("vae_cache_clear_each_epoch", "sometimes", "neither on nor off"),
        ("vae_cache_scan_behaviour", "delete", "allowed: recreate, sync"),
        ("metadata_update_interval", 59, "must be at least 60"),
        ("write_batch_size", 0, "must be at least 1"),
        ("metadata_backend", "parket", "did you mean 'parquet'?"),
        ("caption_strategy", "captions", "allowed: filename, textfile, instanceprompt, parquet"),
        ("conditioning_type", "controlnet", "is not for OmniGen"),
        ("streaming", True, "is not functional"),
        ("num_proc", 0, "must be at least 1"),
        ("skip_file_discovery", {"vae": True}, "not an object"),
        ("instance_prompt", ["a cat", ""], "holds an empty text"),
        ("conditioning", [{"type": "canny"}], "not available in this version: make the pictures yourself"),
        ("slider_strength", 0.5, "not available in this version"),
        ("grounding", {"boxes": 1}, "not available in this version"),
        ("timestep_sampling_offset", "much", "not a number"),
        ("timestep_sampling_offset", -10.5, "must be at least -10"),
        ("timestep_sampling_offset", 500, "must be at most 10"),
        ("caption_filter_list", ["x"], "belongs to a text_embeds entry"),
    ],
)
def test_bad_values_name_the_data_set_the_key_and_the_reason(project: Any, key: str, written: Any, told: str) -> None:
    said = project.refused(project.entry(**{key: written}))
    assert f"cats: {key}: " in said
    assert told in said


def test_the_columns_of_captions_may_stand_in_two_places(project: Any) -> None:
    words = {"caption_strategy": "huggingface", "metadata_backend": "huggingface", "instance_data_dir": None}
    hub = {"type": "huggingface", "dataset_name": "owner/name", **words}
    assert project.one(**hub).hub_captions == ()
    assert project.one(**hub, caption_column="a").hub_captions == ("a",)
    assert project.one(**hub, huggingface={"caption_column": ["a", "b"]}).hub_captions == ("a", "b")


def test_every_key_has_a_meaning_and_readers_or_a_reason() -> None:
    for name, declared in DatasetConfig.model_fields.items():
        facts = facts_of(declared)
        assert (declared.description or "").endswith("."), name
        assert bool(facts.reads) != bool(facts.unread), name
    assert DatasetConfig.model_fields.keys() > SECRET_KEYS
    assert not UNREAD_KEYS.keys() & REFUSED_KEYS.keys()


def test_the_schema_for_editors_can_be_made() -> None:
    properties = DatasetConfig.model_json_schema()["properties"]
    assert list(properties)[:2] == ["id", "dataset_type"]
    assert properties["aws_secret_access_key"]["anyOf"][0]["format"] == "password"
