from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from simpletuner.core.errors import ConfigError


@pytest.mark.parametrize("aspect", ["closest", "random"])
def test_aspects_are_needed_where_one_is_chosen(project: Any, aspect: str) -> None:
    said = project.refused(project.entry(crop=True, crop_aspect=aspect))
    assert f"cats: crop_aspect_buckets: is missing, and crop_aspect {aspect} needs it" in said
    dataset = project.one(crop=True, crop_aspect=aspect, crop_aspect_buckets=[1, "0.75"])
    assert [choice.aspect for choice in dataset.crop_aspect_buckets] == [1.0, 0.75]


def test_limits_of_aspects_leave_something(project: Any) -> None:
    said = project.refused(project.entry(minimum_aspect_ratio=2, maximum_aspect_ratio=0.5))
    assert "cats: minimum_aspect_ratio: 2 is above maximum_aspect_ratio 0.5" in said
    assert project.one(minimum_aspect_ratio=1, maximum_aspect_ratio=1).minimum_aspect_ratio == 1


def test_an_id_names_files_and_has_an_end(project: Any) -> None:
    said = project.refused(project.entry(id="x" * 101))
    assert "the id of data set 1 has 101 characters" in said
    assert project.one(id="x" * 100).id == "x" * 100


RANDOM = {"crop": True, "crop_aspect": "random", "crop_aspect_buckets": [1, 0.5]}


@pytest.mark.parametrize(
    ("keys", "options", "refused"),
    [
        (RANDOM, {}, True),
        (RANDOM, {"aspect_bucket_disable_rebuild": True}, False),
        (RANDOM, {"disable_bucket_pruning": True}, False),
        (RANDOM | {"bucket_mixing": "pad"}, {}, False),
        (RANDOM | {"crop": False}, {}, False),
        (RANDOM | {"crop_aspect": "closest"}, {}, False),
    ],
)
def test_buckets_that_change_are_not_pruned(project: Any, keys: Any, options: Any, refused: bool) -> None:
    project.set(**{"disable_bucket_pruning": False} | options)
    project.entries(project.entry(**keys))
    with pytest.raises(ConfigError, match="random draws new buckets") if refused else nullcontext():
        project.load()


@pytest.mark.parametrize(
    ("law", "value"),
    [
        ("flow_use_uniform_schedule", True),
        ("flow_use_beta_schedule", True),
        ("flow_cubic_schedule_weights", "1,2,1"),
        ("flow_custom_timesteps", "0.1,0.9"),
    ],
)
def test_an_offset_needs_a_normal_draw(project: Any, law: str, value: object) -> None:
    project.set(**{law: value})
    said = " ".join(project.refused(project.entry(timestep_sampling_offset=-0.5)).split())
    assert f"cats: timestep_sampling_offset: is added to a normal draw, and with {law} there is none" in said
    assert f"cure: remove it, or {law} from the configuration" in said
    assert project.one(timestep_sampling_offset=0).timestep_sampling_offset == 0


def test_an_offset_goes_with_every_form_of_the_normal_draw(project: Any) -> None:
    project.set(flow_sigmoid_scale=0.5, flow_stratified_timesteps=True)
    assert project.one(timestep_sampling_offset=2).timestep_sampling_offset == 2


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"dataset_type": "eval"}, "are measured at the run's own shares of noise"),
        ({"dataset_type": "conditioning", "conditioning_type": "mask"}, "are given no noise"),
    ],
)
def test_an_offset_is_for_pictures_that_are_trained_on(project: Any, keys: dict[str, str], reason: str) -> None:
    other = project.entry(id="other", instance_data_dir="datasets/dreambooth-subject", **keys)
    said = project.refused(project.entry(), other | {"timestep_sampling_offset": 1})
    assert "other: timestep_sampling_offset: " in said
    assert reason in said
    project.entries(project.entry(timestep_sampling_offset=1), other | {"timestep_sampling_offset": 0})
    assert project.load().datasets[0].timestep_sampling_offset == 1


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"scan_for_errors": True, "preserve_data_backend_cache": "yes"}, "preserve_data_backend_cache, scan_for_err"),
        ({"scan_for_errors": True}, "nothing can be stale"),
        ({"hash_filenames": True}, "hash_filenames (names in the cache are always hashes)"),
        ({"video": {"fps": 8}}, "video (OmniGen is trained on pictures)"),
        ({"skip_file_discovery": "vae"}, "takes seconds"),
        ({"write_batch_size": 4}, "written one by one"),
        ({"caption_shuffle": {"count": 3}}, 'caption_shuffle is off: add "enable": true'),
        (
            {"crop_aspect": "closest", "crop_aspect_buckets": [1]},
            "not read: crop_aspect, crop_aspect_buckets (crop is off)",
        ),
        ({"crop": False, "crop_style": "center"}, "not read: crop_style (crop is off)"),
        ({"instance_prompt": "a fox"}, "not read: instance_prompt (caption_strategy is filename)"),
        ({"vae_cache_clear_each_epoch": True}, "vae_cache_clear_each_epoch: no crop is random"),
        ({"vae_cache_clear_each_epoch": True, "crop": True, "crop_style": "center"}, "no crop is random"),
        ({"source": "shards", "aws_data_prefix": "x"}, "not read: aws_data_prefix, source (its type is local)"),
        ({"parquet": {"path": "x", "filename_column": "f"}}, "not read: parquet (its metadata_backend is discovery)"),
    ],
)
def test_what_rests_is_told(project: Any, keys: Any, told: str) -> None:
    (notice,) = project.told(project.entry(**keys))
    assert notice.startswith("data set cats: ")
    assert told in notice


@pytest.mark.parametrize("keys", [{"scan_for_errors": False, "hash_filenames": "no"}, {"skip_file_discovery": ""}])
def test_what_asks_for_nothing_is_not_told(project: Any, keys: Any) -> None:
    assert project.told(project.entry(caption_shuffle={"enable": False, "count": 2}, **keys)) == []


def test_an_unknown_stage_is_told(project: Any) -> None:
    notices = project.told(project.entry(skip_file_discovery="vae latents"))
    assert "data set cats: skip_file_discovery: unknown stage latents; known: aspect, vae, text, metadata" in notices
