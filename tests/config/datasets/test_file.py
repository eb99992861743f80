from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.core.errors import ConfigError


def entry(**keys: Any) -> dict[str, Any]:
    return {"id": "cats", "type": "local", "instance_data_dir": "datasets/pseudo-camera-10k"} | keys


TEXTS = {"id": "t", "dataset_type": "text_embeds"}


def test_an_entry_has_the_global_options_beneath_it(project: Any) -> None:
    project.set(resolution=768, caption_strategy="textfile", train_batch_size=3, aspect_bucket_alignment=32)
    dataset = project.one(resolution="512", resolution_type="")
    assert (dataset.resolution, dataset.resolution_type) == (512, "pixel_area")
    assert (dataset.caption_strategy, dataset.train_batch_size) == ("textfile", 3)
    assert (dataset.aspect_bucket_alignment, dataset.aspect_bucket_rounding) == (32, 2)
    assert dataset.vae_cache_ondemand is True
    assert dataset.instance_data_dir == project.root / "datasets/pseudo-camera-10k"


def test_an_inherited_size_is_told_in_the_entrys_unit(project: Any) -> None:
    dataset = project.one(resolution_type="area", minimum_image_size=0.5)
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
    assert project.one().cache_dir_vae == project.root / folder
    assert project.one(cache_dir_vae="own").cache_dir_vae == project.root / "own"


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
    dataset = project.one(
        instance_data_dir="{config_dir}/pictures-{id}",
        cache_dir_vae="{output_dir}/{model_family}",
        caption_strategy="instance_prompt",
        instance_prompt="{env:SUBJECT} a {model_family} cat",
    )
    assert dataset.instance_data_dir == project.root / "config/omnigen/pictures-cats"
    assert dataset.cache_dir_vae == project.root / "output/models-omnigen/omnigen"
    assert dataset.caption_strategy == "instanceprompt"
    assert dataset.instance_prompt == ("a omnigen cat",)


def test_both_spellings_and_switches_as_texts(project: Any) -> None:
    dataset = project.one(is_regularization_data="yes", crop="true", crop_style="centre", metadata_backend="json")
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


def test_what_is_inherited_and_what_is_not(project: Any) -> None:
    project.set(
        cache_dir="kept",
        skip_file_discovery="vae",
        delete_unwanted_images=True,
        max_upscale_threshold=0.2,
        caption_strategy="textfile",
        instance_prompt="a cat, sitting",
        write_batch_size=7,
    )
    dataset = project.one()
    assert dataset.cache_dir is None
    assert dataset.skip_file_discovery == ()
    assert dataset.write_batch_size == 128
    assert dataset.instance_prompt == ("a cat, sitting",)
    assert (dataset.delete_unwanted_images, dataset.max_upscale_threshold) == (True, 0.2)
    own = {"instance_prompt": ["x", "y"], "prepend_instance_prompt": True}
    assert project.one(delete_unwanted_images="no", **own).instance_prompt == ("x", "y")
    assert not any(notice.startswith("data set cats") for notice in project.load().notices)


def test_keys_that_ask_for_nothing_change_nothing(project: Any) -> None:
    idle = {
        "start_epoch": "1",
        "start_step": 0,
        "end_epoch": None,
        "end_step": 0,
        "timestep_sampling_offset": 0.0,
        "bucket_mixing": "bucket",
        "caption_shuffle": False,
        "conditioning_data": [],
        "conditioning": [],
        "caption_filter_list": "",
        "grounding": {},
        "slider_strength": None,
        "delete_unwanted_images": "false",
        "crop_aspect_buckets": "",
        "parquet": None,
        "__note": {"any": "thing"},
    }
    assert project.one(**idle) == project.one()


def test_paths_are_full_and_addresses_stay(project: Any) -> None:
    table = project.root / "words.jsonl"
    table.write_text("{}")
    block = {"path": " words.jsonl", "filename_column": "file"}
    dataset = project.one(metadata_backend="parquet", parquet=block)
    assert dataset.parquet.path == str(table)
    dataset = project.one(metadata_backend="parquet", parquet=block | {"path": "s3://bucket/words.parquet"})
    assert dataset.parquet.path == "s3://bucket/words.parquet"
    (project.root / "links.csv").write_text("url,caption\n")
    csv = {"type": "csv", "csv_file": "links.csv", "csv_caption_column": "caption", "caption_strategy": "csv"}
    dataset = project.one(**csv, csv_cache_dir="kept", instance_data_dir=None)
    assert (dataset.csv_file, dataset.csv_cache_dir) == (str(project.root / "links.csv"), project.root / "kept")
    shards = {"type": "webshart", "caption_strategy": "webshart", "metadata_backend": "webshart"}
    assert project.one(**shards, source="shards").source == str(project.root / "shards")
    assert project.one(**shards, source="hf://datasets/owner/name").source == "hf://datasets/owner/name"


def test_an_evaluation_set_is_left_out_and_said(project: Any) -> None:
    project.entries(entry(), entry(id="held-out", dataset_type="eval", instance_data_dir="datasets/dreambooth-subject"))
    left_out = "data set 'held-out' is for evaluation, and is left out: "
    project.set(eval_steps_interval=None)
    assert f"{left_out}neither eval_steps_interval nor eval_epoch_interval is given" in project.load().notices
    project.set(eval_steps_interval=10, eval_loss_disable=True)
    assert f"{left_out}eval_loss_disable is given" in project.load().notices
    project.set(eval_loss_disable=False)
    assert not any("held-out" in notice for notice in project.load().notices)
    project.set(eval_epoch_interval=0.5)
    assert any("are both given" in notice for notice in project.load().notices)


def test_patience_without_evaluations_is_told(project: Any) -> None:
    project.set(early_stop_patience=3)
    assert "early_stop_patience waits for evaluations, of which there are none" in project.load().notices


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"instance_data_dirs": "x"}, "cats: instance_data_dirs: unknown key"),
        ({"crop_stile": "center"}, "did you mean 'crop_style'?"),
        ({"disable_vae_cache": True}, "use vae_cache_disable"),
        ({"dataset_type": "video"}, "'video' is not for OmniGen"),
        ({"dataset_type": "images"}, "did you mean 'image'?"),
        ({"dataset_type": "conditioning_image_embeds"}, "is not for OmniGen"),
        ({"aspect_bucket_alignment": 24}, "multiples of 16"),
        ({"repeats": -1}, "must be at least 0"),
        ({"repeats": 1.5}, "not a whole number"),
        ({"train_batch_size": 0}, "must be at least 1"),
        ({"resolution": 0}, "must be above 0"),
        ({"resolution": 1}, "1 is in pixels with resolution_type pixel_area"),
        ({"resolution_type": "area", "resolution": 1024}, "1024 is in megapixels"),
        ({"maximum_image_size": 1024}, "stands without target_downsample_size"),
        ({"maximum_image_size": 512, "target_downsample_size": 768}, "768 is above maximum_image_size 512"),
        ({"batch_size": 2}, "did you mean 'train_batch_size'?"),
        ({"caption_strategy": "instanceprompt"}, "instance_prompt: is missing, and caption_strategy needs it"),
        ({"prepend_instance_prompt": True}, "and prepend_instance_prompt needs it"),
        ({"text_embeds": "other"}, "there is no cache entry 'other'"),
        ({"id": ""}, "data set 1 has no id"),
        ({"id": "../up"}, "cannot name a folder"),
        ({"disabled": "perhaps"}, "neither on nor off"),
        ({"start_epoch": 2}, "no data set can be trained on from the outset"),
        ({"probability": 0}, "no data set to train on"),
        ({"dataset_type": "eval"}, "no data set to train on"),
    ],
)
def test_mistakes_name_the_data_set_the_key_and_the_reason(project: Any, keys: Any, told: str) -> None:
    assert told in project.refused(entry(**keys))


def test_one_mistake_is_told_once(project: Any) -> None:
    told = project.refused(entry(parquet={"path": ""}, metadata_backend="parquet", crop_aspect_buckets=3, end_step=-1))
    assert told.startswith("4 problems:")
    assert "crop_aspect_buckets: '3' is no list" in told
    assert "parquet: is missing" not in told
    assert project.refused(entry(type="memory", instance_data_dir=None)).count("cats: ") == 1


def test_secrets_are_never_shown(project: Any) -> None:
    keys = {"aws_access_key_id": "{env:KEY}", "aws_secret_access_key": "SESAME"}
    store = entry(type="aws", aws_bucket_name="b", instance_data_dir=None, **keys)
    project.entries(store)
    loaded = project.load(environ={"KEY": "ALIBABA"})
    (dataset,) = loaded.datasets
    assert dataset.aws_access_key_id.get_secret_value() == "ALIBABA"
    assert dataset.aws_secret_access_key.get_secret_value() == "SESAME"
    shown = f"{dataset!r} {dataset} {dataset.model_dump(mode='json')} {dataset.model_dump_json()} {loaded.notices}"
    for spoilt in ({"resolution": "x"}, {"aws_secret_access_key": ["SESAME"]}, {"aws_secret_acess_key": "SESAME"}):
        shown += project.refused(store | spoilt)
    shown += project.refused(store | {"aws_endpoint_url": "user:SESAME@host"})
    assert "SESAME" not in shown
    assert "ALIBABA" not in shown


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([entry(), entry()], "2 data sets have the id 'cats'"),
        ([], "must hold a list of data sets"),
        ([1], "every data set must be an object"),
        (
            [
                entry(),
                entry(
                    id="links",
                    type="csv",
                    csv_file="https://host/links.csv",
                    csv_caption_column="caption",
                    caption_strategy="csv",
                    csv_cache_dir="x",
                    cache_dir_vae="x",
                ),
            ],
            "csv_cache_dir: links: is the folder of the latent cache too",
        ),
        (
            [entry(cache_dir_vae="x"), TEXTS | {"cache_dir": "x"}],
            "is the folder of the text cache too",
        ),
    ],
)
def test_mistakes_of_the_file_as_a_whole(project: Any, entries: Any, told: str) -> None:
    assert told in project.refused(*entries)


def test_two_data_sets_may_share_a_cache_and_a_folder(project: Any) -> None:
    project.entries(entry(cache_dir_vae="x"), entry(id="again", cache_dir_vae="x", resolution=512))
    folders = {dataset.cache_dir_vae for dataset in project.load().datasets}
    assert folders == {Path(project.root / "x")}
