"""Which settings make a run the same run, and which may change and are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble.stage import set_stage
from simpletuner.assemble.training.identity import identity_of
from simpletuner.config.option import facts_of
from simpletuner.config.run import OPTIONS
from simpletuner.core.events import Event
from simpletuner.training.fingerprint import Identity, differences
from tests.assemble.conftest import dataset, loaded_run, write_scenes


def ignore(event: Event) -> None:
    del event


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "flat", ["a.png", "b.png"])
    return tmp_path


def identity(root: Path, data: dict[str, Any] | None = None, **options: Any) -> Identity:
    loaded = loaded_run(root, [dataset("flat", **(data or {}))], **options)
    return identity_of(set_stage(loaded, None, ignore), None)


def test_under_a_constant_rate_its_values_may_change(root: Path) -> None:
    one, two = identity(root), identity(root, learning_rate=5e-4)
    assert one.fixed == two.fixed
    assert [str(change) for change in differences(one.settings, two.settings)] == ["learning_rate was 0.001, is 0.0005"]


@pytest.mark.parametrize(
    "changed", [{"learning_rate": 5e-4}, {"lr_end": 1e-6}, {"lr_warmup_steps": 5}, {"lr_num_cycles": 2}]
)
def test_under_another_one_they_may_not(root: Path, changed: dict[str, float]) -> None:
    one, two = (identity(root, lr_scheduler="cosine", **options) for options in ({}, changed))
    (found,) = differences(one.fixed, two.fixed)
    assert found.path == next(iter(changed))
    assert differences(one.settings, two.settings) == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"output_dir": "elsewhere"},
        {"max_train_steps": 99},
        {"checkpoint_step_interval": 7},
        {"gradient_checkpointing": False},
        {"validation_step_interval": 3},
        {"data": {"cache_dir_vae": "moved"}},
    ],
)
def test_where_when_and_how_fast_are_nobodys_business(root: Path, changed: dict[str, Any]) -> None:
    one, two = identity(root), identity(root, **changed)
    assert one == two


@pytest.mark.parametrize("data", [{"repeats": 1}, {"crop": True}, {"probability": 0.5}, {"resolution": 128}])
def test_how_pictures_are_seen_makes_the_run(root: Path, data: dict[str, Any]) -> None:
    found = differences(identity(root).fixed, identity(root, data).fixed)
    assert f"datasets.flat.{next(iter(data))}" in [change.path for change in found]


def test_an_offset_of_noise_makes_the_run_and_0_is_what_runs_without_one_have(root: Path) -> None:
    """The settings of a checkpoint from before the key was read have no line for it."""
    one = identity(root)
    assert "timestep_sampling_offset" not in one.fixed["datasets"]["flat"]
    assert one == identity(root, {"timestep_sampling_offset": 0})
    (found,) = differences(one.fixed, identity(root, {"timestep_sampling_offset": -0.5}).fixed)
    assert str(found) == "datasets.flat.timestep_sampling_offset was not set, is -0.5"


def test_a_batch_is_the_pictures_of_an_update(root: Path) -> None:
    one = identity(root, train_batch_size=4)
    assert one.fixed == identity(root, train_batch_size=2, gradient_accumulation_steps=2).fixed
    (found,) = differences(one.fixed, identity(root, train_batch_size=2).fixed)
    assert str(found) == "datasets.flat.pictures_per_update was 4, is 2"
    assert found.is_of_batch


def test_the_batch_may_change_when_the_user_says_so(root: Path) -> None:
    assert not identity(root).may_change_batch
    assert identity(root, i_know_what_i_am_doing=True).may_change_batch


@pytest.mark.parametrize(
    "changed",
    [
        {"loss_type": "huber"},
        {"flow_use_uniform_schedule": True},
        {"scheduled_sampling_max_step_offset": 5, "scheduled_sampling_probability": 0.5},
        {"input_perturbation": 0.1},
        {"data_backend_sampling": "uniform"},
        {"allow_dataset_oversubscription": True},
    ],
)
def test_another_objective_or_another_order_is_another_run(root: Path, changed: dict[str, Any]) -> None:
    found = differences(identity(root).fixed, identity(root, **changed).fixed)
    assert {one.path for one in found} == set(changed)


def test_another_commit_of_the_hub_is_another_run(root: Path) -> None:
    loaded = loaded_run(root, [dataset("flat")], pretrained_model_name_or_path="some/where")
    stage = set_stage(loaded, None, ignore)
    one, two = (identity_of(replace(stage, weights=replace(stage.weights, commit=digit * 40)), None) for digit in "01")
    (found,) = differences(one.fixed, two.fixed)
    assert (found.path, json.loads(found.was)) == ("pretrained_model_revision", "0" * 40)
    assert found.path in one.young, "older checkpoints do not know it"
    assert found.path not in identity(root).fixed, "a folder has none"


# Options that a resume does not compare: they say when, where, how fast and what is shown, or stand in a data set or
# in the adapter's own settings.
FREE_SECTIONS = tuple(
    "memory speed sampler machine shard validation evaluation checkpoints report adapter publishing".split()
)
FREE = set(
    "max_train_steps num_train_epochs model_flavour pretrained_model_name_or_path pretrained_model_revision "
    "vae_enable_tiling vae_enable_slicing quantize_via quantize_activations train_batch_size "
    "data_backend_config aspect_bucket_disable_rebuild delete_unwanted_images delete_problematic_images "
    "conditioning_multidataset_sampling vae_batch_size vae_cache_ondemand vae_cache_disable cache_dir cache_dir_vae "
    "cache_dir_text max_workers read_batch_size aws_max_pool_connections".split()
)


def test_every_option_that_changes_numbers_is_compared_or_free_by_name(root: Path) -> None:
    made = identity(root)
    (of_data,) = made.fixed["datasets"].values()
    compared = {*made.fixed, *made.settings, *of_data}
    rest = {
        name
        for name, option in OPTIONS.items()
        if facts_of(option.declared).reads and option.section not in FREE_SECTIONS and name not in compared
    }
    assert rest == FREE
