from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble import burden
from simpletuner.assemble.data.inspect import inspect_run
from simpletuner.assemble.room_plan import full_disks
from simpletuner.cli.outlook import foresee, require_logins
from simpletuner.config.load import LoadedRun, load_run
from simpletuner.config.reading.find import Selection
from simpletuner.core.errors import ConfigError
from tests.assemble.conftest import dataset, loaded_run, write_scenes


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    write_scenes(tmp_path / "masks", ["a.png", "b.png"])
    return tmp_path


def loaded(root: Path, environ: dict[str, str] | None = None, **options: Any) -> LoadedRun:
    run = loaded_run(root, [dataset("cats"), dataset("more", instance_data_dir="cats")], **options)
    return run if environ is None else LoadedRun(**{**vars(run), "environ": environ})


def test_the_latents_of_every_cache_are_foreseen_once_the_pictures_are_counted(root: Path) -> None:
    run = loaded(root)
    inspection = inspect_run(run, deep=False, emit=lambda _event: None)
    needs = foresee(run, inspection.surveyed, inspection.report.steps).needs
    assert [(need.what, need.folder.name) for need in needs[1:]] == [("latents", "cats"), ("latents", "more")]
    assert [need.wanted for need in needs[1:]] == [2 * 2048, 2 * 2048]
    assert [need.folder for need in foresee(run, {}, 0).needs] == [Path("output")]


def test_masks_and_what_is_not_stored_take_no_room(root: Path) -> None:
    masked = dataset("masks", dataset_type="conditioning", conditioning_type="mask", source_dataset_id="cats")
    kept = dataset("cats", vae_cache_disable=True)
    run = loaded_run(root, [kept, masked])
    inspection = inspect_run(run, deep=False, emit=lambda _event: None)
    assert [need.what for need in foresee(run, inspection.surveyed, 10).needs if need.what == "latents"] == []


def test_a_disk_that_is_too_small_is_a_problem(root: Path) -> None:
    huge = foresee(loaded(root, model_flavour="v1", checkpoints_total_limit=0, max_train_steps=10**9), {}, 0)
    told = huge.problems[-1]
    assert told.startswith("the disk is too small for 2000000 checkpoints of ")
    assert "make room" in told
    assert foresee(loaded(root), {}, 0).problems == ()


def test_what_shares_a_disk_is_summed(root: Path) -> None:
    run = loaded(root)
    inspection = inspect_run(run, deep=False, emit=lambda _event: None)
    outlook = foresee(run, inspection.surveyed, inspection.report.steps)
    assert len({need.device for need in outlook.needs}) == 1
    free = max(need.wanted for need in outlook.needs)
    assert all(full_disks([replace(need, free=free)]) == () for need in outlook.needs)
    (told,) = replace(outlook, needs=tuple(replace(need, free=free) for need in outlook.needs)).problems
    cache = root / "cache"
    assert f"latents: about 4.0 KB in {cache / 'cats'}; latents: about 4.0 KB in {cache / 'more'}; " in told


def test_the_checkpoints_of_full_training_are_foreseen(root: Path) -> None:
    options = {"model_type": "full", "optimizer": "torch-adamw", "model_flavour": "v1"}
    (need,) = foresee(loaded(root, **options), {}, 0).needs
    assert need.what == "1 checkpoint of 42.0 GB"


def test_a_class_that_is_adapted_though_no_target_means_it(root: Path) -> None:
    run = loaded(root)
    recipe = root / "config" / "lycoris_config.json"
    recipe.write_text(recipe.read_text().replace('"Attention",\n            "FeedForward"', '"Attention"'))
    (told,) = foresee(load_run(Selection(), {}, root, {}), {}, 0).problems
    assert told.startswith("lycoris_config: FeedForward is in module_algo_map but not in target_module")
    assert foresee(run, {}, 0).problems == ()


def test_a_large_model_without_a_card(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(root))
    monkeypatch.setattr(burden, "AMD", root / "kfd")
    monkeypatch.setattr(sys, "platform", "linux")
    (told,) = foresee(loaded(root, model_flavour="v1"), {}, 0).problems
    assert told.startswith("no GPU was found: 3.8 billion weights in fp32 take 15 GB")
    assert foresee(loaded(root), {}, 0).burden is None, "the tiny model"
    (root / "nvidia-smi").write_text("#!/bin/sh\n")
    (root / "nvidia-smi").chmod(0o755)
    assert foresee(loaded(root, model_flavour="v1"), {}, 0).problems == ()


def test_results_that_go_to_the_hub_need_a_token(root: Path) -> None:
    options = {"push_to_hub": True, "hub_model_id": "me/cats"}
    with pytest.raises(ConfigError, match="push_to_hub: nobody is logged in") as caught:
        require_logins(loaded(root, {"HF_HOME": str(root / "hub")}, **options), root)
    assert "hf auth login" in str(caught.value)
    require_logins(loaded(root, {"HF_TOKEN": "x"}, **options), root)
    (root / "hub").mkdir()
    (root / "hub" / "token").write_text("x", encoding="utf-8")
    require_logins(loaded(root, {"HF_HOME": str(root / "hub")}, **options), root)


def test_a_tracker_that_is_not_there_names_the_file(root: Path) -> None:
    run = loaded(root, {"HOME": str(root)}, report_to="wandb,tensorboard")
    with pytest.raises(ConfigError, match="report_to") as caught:
        require_logins(run, root)
    assert caught.value.file == run.config_file
    require_logins(loaded(root, report_to="tensorboard"), root)
    spoken = load_run(Selection(), {"report_to": "wandb", "push_to_hub": "true"}, root, {"HOME": str(root)})
    with pytest.raises(ConfigError, match=r"^command line: report_to: "):
        require_logins(spoken, root)
