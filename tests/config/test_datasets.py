from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.dataset import REFUSED_KEYS
from simpletuner.core.errors import ConfigError


def entry(**keys: Any) -> dict[str, Any]:
    return {"id": "cats", "type": "local", "instance_data_dir": "datasets/pseudo-camera-10k"} | keys


def one(project: Any, **keys: Any) -> Any:
    project.entries(entry(**keys))
    (dataset,) = project.load().datasets
    return dataset


def test_an_entry_has_the_global_options_beneath_it(project: Any) -> None:
    project.set(resolution=768, caption_strategy="textfile", train_batch_size=3, aspect_bucket_alignment=32)
    dataset = one(project, resolution="512", resolution_type="")
    assert (dataset.resolution, dataset.resolution_type) == (512, "pixel_area")
    assert (dataset.caption_strategy, dataset.train_batch_size) == ("textfile", 3)
    assert (dataset.aspect_bucket_alignment, dataset.aspect_bucket_rounding) == (32, 2)
    assert dataset.vae_cache_ondemand is True
    assert dataset.instance_data_dir == project.root / "datasets/pseudo-camera-10k"


def test_an_inherited_size_is_told_in_the_entrys_unit(project: Any) -> None:
    dataset = one(project, resolution_type="area", minimum_image_size=0.5)
    assert dataset.resolution == pytest.approx(1.048576)
    assert dataset.minimum_image_size == 0.5


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        ({}, "output/models-omnigen/cache/vae/omnigen/cats"),
        ({"cache_dir": "kept"}, "kept/vae/omnigen/cats"),
        ({"cache_dir_vae": "latents"}, "latents/cats"),
    ],
)
def test_where_latents_are_cached(project: Any, options: Any, folder: Path) -> None:
    project.set(**options)
    assert one(project).cache_dir_vae == project.root / folder
    assert one(project, cache_dir_vae="own").cache_dir_vae == project.root / "own"


def test_where_tokens_are_cached(project: Any) -> None:
    project.entries(entry())
    assert project.load().text_cache == project.root / "output/models-omnigen/cache/text/omnigen"
    project.set(cache_dir_text="words")
    assert project.load().text_cache == project.root / "words"
    first = {"id": "t1", "dataset_type": "text_embeds", "cache_dir": "a"}
    project.entries(entry(), first, {"id": "t2", "dataset_type": "text_embeds", "cache_dir": "b", "default": True})
    assert project.load().text_cache == project.root / "b"


def test_placeholders(project: Any) -> None:
    (project.root / "config/omnigen/pictures-cats").mkdir()
    dataset = one(
        project,
        instance_data_dir="{config_dir}/pictures-{id}",
        cache_dir_vae="{output_dir}/{model_family}",
        caption_strategy="instance_prompt",
        instance_prompt="{env:SUBJECT} a {model_family} cat",
    )
    assert dataset.instance_data_dir == project.root / "config/omnigen/pictures-cats"
    assert dataset.cache_dir_vae == project.root / "output/models-omnigen/omnigen"
    assert dataset.caption_strategy == "instanceprompt"
    assert dataset.instance_prompt == "a omnigen cat"


def test_both_spellings_and_switches_as_texts(project: Any) -> None:
    dataset = one(project, is_regularization_data="yes", crop="true", crop_style="centre", metadata_backend="json")
    assert dataset.is_regularisation_data
    assert dataset.crop
    assert dataset.crop_style == "center"


def test_disabled_entries_are_as_if_absent(project: Any) -> None:
    project.entries(entry(), {"id": "x", "disabled": True, "nonsense": 1}, {"id": "cats", "disable": "yes"})
    assert [dataset.id for dataset in project.load().datasets] == ["cats"]


def test_every_missing_folder_is_listed_at_once(project: Any) -> None:
    project.entries(entry(instance_data_dir="a"), entry(id="dogs", instance_data_dir="/nowhere/b"))
    with pytest.raises(ConfigError) as caught:
        project.load()
    message = str(caught.value)
    assert f"{project.dataloader}: instance_data_dir: no such folder:" in message
    assert f"cats: {project.root / 'a'}" in message
    assert "dogs: /nowhere/b" in message


def test_keys_that_nothing_reads_are_told_only_when_they_ask_for_something(project: Any) -> None:
    project.entries(
        entry(hash_filenames=True, start_epoch=1, start_step=0, scan_for_errors=False, skip_file_discovery="vae")
    )
    told = [notice for notice in project.load().notices if notice.startswith("data set cats")]
    assert told[0] == "data set cats: nothing in this version reads hash_filenames"
    assert "skip_file_discovery is not read" in told[1]
    assert len(told) == 2


def test_keys_that_ask_for_nothing_change_nothing(project: Any) -> None:
    idle = {
        "start_epoch": "1",
        "start_step": 1,
        "end_epoch": None,
        "end_step": 0,
        "timestep_sampling_offset": 0.0,
        "bucket_mixing": "bucket",
        "caption_shuffle": {"enable": False, "count": 3},
        "conditioning_data": [],
        "caption_filter_list": "",
        "delete_unwanted_images": "false",
    }
    assert one(project, **idle) == one(project)


def test_an_evaluation_set_is_left_out_and_said(project: Any) -> None:
    project.entries(entry(), entry(id="held-out", dataset_type="eval"))
    told = "data set 'held-out' is for evaluation, which this version does not do yet: it is left out"
    assert project.load().notices.count(told) == 1


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"instance_data_dirs": "x"}, "cats: instance_data_dirs: unknown key"),
        ({"crop_stile": "center"}, "did you mean 'crop_style'?"),
        ({"disable_vae_cache": True}, "use vae_cache_disable"),
        ({"dataset_type": "conditioning"}, "'conditioning' is not available in this version"),
        ({"dataset_type": "video"}, "'video' is not for OmniGen"),
        ({"dataset_type": "images"}, "did you mean 'image'?"),
        ({"type": "aws"}, "cats: type: 'aws' is not available"),
        ({"crop_aspect": "closest"}, "use square or preserve"),
        ({"crop_style": "face"}, "use random or center or corner"),
        ({"aspect_bucket_alignment": 24}, "multiples of 16"),
        ({"repeats": -1}, "must be at least 0"),
        ({"repeats": 1.5}, "not a whole number"),
        ({"train_batch_size": 0}, "must be at least 1"),
        ({"resolution": 0}, "must be above 0"),
        ({"resolution": 1}, "1 is in pixels with resolution_type pixel_area"),
        ({"resolution_type": "area", "resolution": 1024}, "1024 is in megapixels"),
        ({"maximum_image_size": 1024}, "stands without target_downsample_size"),
        ({"caption_strategy": "instanceprompt"}, "instance_prompt: is missing, and caption_strategy needs it"),
        ({"prepend_instance_prompt": True}, "and prepend_instance_prompt needs it"),
        ({"caption_strategy": "parquet"}, "not available"),
        ({"text_embeds": "other"}, "there is no cache entry 'other'"),
        ({"id": ""}, "data set 1 has no id"),
        ({"id": "../up"}, "cannot name a folder"),
        ({"disabled": "perhaps"}, "neither on nor off"),
        ({"probability": 0.5}, "cats: probability: '0.5' is not available in this version"),
        ({"probability": 2}, "use repeats"),
        *(({key: "x"}, f"cats: {key}: 'x' is not available in this version") for key in REFUSED_KEYS),
        ({"caption_shuffle": {"enable": True, "count": 3}}, "caption_shuffle"),
        ({"start_epoch": 2}, "cats: start_epoch: '2'"),
        ({"end_step": 10}, "cats: end_step: '10'"),
        ({"probability": 0}, "no data set to train on"),
        ({"dataset_type": "eval"}, "no data set to train on"),
    ],
)
def test_mistakes_name_the_data_set_the_key_and_the_reason(project: Any, keys: Any, told: str) -> None:
    project.entries(entry(**keys))
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert str(project.dataloader) in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([entry(), entry()], "2 data sets have the id 'cats'"),
        ([], "must hold a list of data sets"),
        ([1], "every data set must be an object"),
        (
            [entry(), *({"id": i, "dataset_type": "text_embeds", "default": True} for i in "ab")],
            "two text_embeds entries are the default: a and b",
        ),
        ([entry(), {"id": "t", "dataset_type": "text_embeds", "cach_dir": "x"}], "did you mean 'cache_dir'?"),
        ([entry(), {"id": "t", "dataset_type": "text_embeds", "type": "memory"}], "'memory' is not available"),
        (
            [entry(), {"id": "t", "dataset_type": "text_embeds", "caption_filter_list": ["x"]}],
            "t: caption_filter_list: ",
        ),
        (
            [entry(cache_dir_vae="x"), {"id": "t", "dataset_type": "text_embeds", "cache_dir": "x"}],
            "is the folder of the text cache too",
        ),
    ],
)
def test_mistakes_of_the_file_as_a_whole(project: Any, entries: Any, told: str) -> None:
    project.entries(*entries)
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert told in str(caught.value)


def test_two_data_sets_may_share_a_cache_and_a_folder(project: Any) -> None:
    project.entries(entry(cache_dir_vae="x"), entry(id="again", cache_dir_vae="x", resolution=512))
    folders = {dataset.cache_dir_vae for dataset in project.load().datasets}
    assert folders == {Path(project.root / "x")}
