"""A run that was asked to stop goes on as if it had not been, whatever it trains and wherever it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.optimizers.names import OPTIMIZERS
from tests.runs.conftest import DATASETS
from tests.runs.crashing import DRAWING, Aim
from tests.runs.data_words import Size, picture
from tests.runs.resuming import Trial, another, begun, require_equal, small_model

STOPPED = 143
WIDE = {"wide.png": (128, 64), "broad.png": (128, 64), "large.png": (128, 64)}
OTHERS = {f"other{place}.png": (64, 64) for place in range(4)}
NAMES = ("red_apple", "rocket", "pizza", "cactus", "frog")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "omnigen")


def pictures(folder: Path, sizes: dict[str, Size]) -> None:
    for seed, (name, size) in enumerate(sizes.items()):
        picture(folder / name, size, seed)


def entry(name: str, **keys: Any) -> dict[str, Any]:
    return DATASETS[0] | {"id": name, "instance_data_dir": name, "cache_dir_vae": f"cache/{name}"} | keys


def datasets(trial: Trial, *entries: dict[str, Any]) -> None:
    (trial.folder / "config" / "multidatabackend.json").write_text(json.dumps(entries))


def stopped(whole: Trial, folder: Path, *steps: int) -> Trial:
    """The run of ``whole`` again, asked to stop during each of ``steps`` and gone on to its end."""
    trial = another(whole, folder)
    for step in steps:
        story = trial.start(None, step)
        assert story.code == STOPPED, trial.told()
        assert story.begun[-1] == step
    trial.start()
    return trial


# Two data sets of other sizes, buckets, repeats, updates of three uses of which the last of a bucket is short.
# Everything that a step may depend on is on.
EVERYTHING = {
    "train_batch_size": 1,
    "gradient_accumulation_steps": 3,
    "num_train_epochs": 2,
    "max_train_steps": 0,
    "caption_dropout_probability": 0.3,
    "lr_scheduler": "cosine_with_restarts",
    "lr_warmup_steps": 3,
    "lr_num_cycles": 2,
    "ema_update_interval": 2,
    "flow_stratified_timesteps": "true",
    "checkpoint_step_interval": 100,
}
UPDATES, EPOCH_END = 16, 8


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Trial:
    whole = begun(tmp_path_factory.mktemp("everything") / "whole", pretrained_model_name_or_path=model, **EVERYTHING)
    pictures(whole.folder / "pictures", WIDE)
    pictures(whole.folder / "others", OTHERS)
    datasets(whole, entry("pictures", crop=False, repeats=1), entry("others", probability=0.7))
    assert whole.start().code == 0, whole.told()
    assert whole.stories[0].begun == list(range(1, UPDATES + 1))
    return whole


def marked(step: int) -> Any:
    return pytest.param(step, marks=() if step % 3 == 0 or step == EPOCH_END else pytest.mark.long)


@pytest.mark.parametrize("step", [marked(step) for step in range(1, UPDATES + 1)])
def test_a_run_may_stop_at_any_step(everything: Trial, tmp_path: Path, step: int) -> None:
    """Also where an epoch ends, and the run."""
    assert [record["epoch"] for record in everything.records[EPOCH_END - 1 :][:2]] == [1, 2]
    require_equal(stopped(everything, tmp_path / "parts", step), everything)


def test_a_run_may_stop_at_every_step(everything: Trial, tmp_path: Path) -> None:
    require_equal(stopped(everything, tmp_path / "parts", *range(1, UPDATES)), everything)


# Five pictures in updates of two: three an epoch, the breaks fall into the first and the second.
STEPS, BREAKS = 6, (2, 4)
SHORT = {"max_train_steps": STEPS, "checkpoint_step_interval": 100, "lr_warmup_steps": 0}
RATES = {"prodigy": 1.0}
# The others of these families are in test_optimizers.py, or long.
FIRST = ("soap", "bnb-ademamix8bit", "ao-adamfp8")
RANDOM_LOKR = {"algo": "lokr", "rank_dropout": 0.2, "module_dropout": 0.2, "linear_dim": 4, "linear_alpha": 2}
MASKS = {"tlora": {"algo": "tlora", "tlora_min_rank": 2, "linear_dim": 4, "linear_alpha": 4}, "dropping": RANDOM_LOKR}
DRAWN = {
    "validation_disable": "false",
    "validation_prompt": "a frog",
    "validation_resolution": "64",
    "validation_num_inference_steps": 3,
}
KINDS: dict[str, dict[str, object]] = {
    "full": {"model_type": "full", "optimizer": "torch-adamw", "learning_rate": 1e-4},
    "standard": {"lora_type": "standard", "lora_rank": 4, "lora_dropout": 0.2, "gradient_checkpointing": "true"},
    "average": {"ema_update_interval": 2, "ema_warmup_steps": 3, "ema_decay": 0.9},
    "schedule-free": {
        "optimizer": "adamw_schedulefree",
        "validation_step_interval": 1,
        "ema_validation": "none",
        **DRAWN,
    },
    "drawing the average": {"validation_step_interval": 1, "ema_validation": "ema_only", **DRAWN},
    "rolled out": {
        "scheduled_sampling_max_step_offset": 3,
        "scheduled_sampling_ramp_steps": 4,
        "scheduled_sampling_prob_end": 1.0,
        "flow_stratified_timesteps": "true",
        "input_perturbation": 0.1,
        "input_perturbation_steps": 5,
    },
    "round robin": {"flow_custom_timesteps": "0.1,0.5,0.9", "flow_timesteps_mode": "round-robin", "loss_type": "huber"},
}


def resumes(whole: Trial, folder: Path) -> None:
    """Run it, and run it again with breaks; nobody can tell one from the other."""
    assert whole.start().code == 0, whole.told()
    assert len(set(whole.stories[0].done.values())) == STEPS, "a step that is left out or made twice shows"
    require_equal(stopped(whole, folder, *BREAKS), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_training_resumes(model: Path, tmp_path: Path, kind: str) -> None:
    whole = begun(tmp_path / "whole", pretrained_model_name_or_path=model, **SHORT | KINDS[kind])
    resumes(whole, tmp_path / "parts")


@pytest.mark.parametrize("kind", MASKS)
def test_layers_that_drop_out_resume(model: Path, tmp_path: Path, kind: str) -> None:
    whole = begun(tmp_path / "whole", pretrained_model_name_or_path=model, **SHORT)
    content = {"multiplier": 1.0, "apply_preset": {"target_module": ["Attention"]}} | MASKS[kind]
    (whole.folder / "config" / "lycoris_config.json").write_text(json.dumps(content))
    resumes(whole, tmp_path / "parts")


@pytest.mark.parametrize(
    "optimizer", [pytest.param(name, marks=() if name in FIRST else pytest.mark.long) for name in OPTIMIZERS]
)
def test_every_optimizer_resumes(model: Path, tmp_path: Path, optimizer: str) -> None:
    """The matrices are large enough for states in few bits."""
    how = {
        "optimizer": optimizer,
        "learning_rate": RATES.get(optimizer, 1e-3),
        "lora_type": "standard",
        "lora_rank": 16,
    }
    resumes(begun(tmp_path / "whole", pretrained_model_name_or_path=model, **SHORT | how), tmp_path / "parts")


def test_prior_preservation_and_masks_resume(model: Path, tmp_path: Path) -> None:
    how = {"masked_loss_probability": 0.5, "max_train_steps": STEPS}
    whole = begun(tmp_path / "whole", pretrained_model_name_or_path=model, **SHORT | how)
    sizes = {f"{name}.png": (64, 64) for name in NAMES}
    for folder in ("masks", "kept"):
        pictures(whole.folder / folder, sizes)
    masks = entry("masks", dataset_type="conditioning", conditioning_type="segmentation")
    kept = entry("kept", is_regularisation_data=True)
    datasets(whole, entry("pictures", conditioning_data="masks"), masks, kept)
    resumes(whole, tmp_path / "parts")
    assert any("regularisation_loss" in record for record in whole.records)


def test_a_run_killed_while_it_draws_its_average_trains_on_with_its_weights(model: Path, tmp_path: Path) -> None:
    how = {**DRAWN, "validation_step_interval": 3, "checkpoint_step_interval": 2, "ema_validation": "ema_only"}
    more = {"validation_num_inference_steps": 20}
    whole = begun(tmp_path / "whole", pretrained_model_name_or_path=model, **SHORT | how | more)
    assert whole.start().code == 0, whole.told()
    trial = another(whole, tmp_path / "parts")
    # The first drawing is the base model's.
    story = trial.start(Aim(DRAWING, 1, 0.02))
    assert (story.is_killed, story.last_phase) == (True, DRAWING)
    trial.start()
    require_equal(trial, whole)


@pytest.mark.parametrize(("now", "last", "left"), [(2, 8, []), (4, 10, [0]), (8, 14, [0, 0, 0])])
def test_after_changed_pictures_the_epochs_asked_for_are_done(
    model: Path, tmp_path: Path, now: int, last: int, left: list[int]
) -> None:
    """Four epochs, stopped after the first update of the third: of it, only what the new order still has is left."""
    how = {"max_train_steps": 0, "num_train_epochs": 4}
    trial = begun(tmp_path / "run", pretrained_model_name_or_path=model, **SHORT | how)
    assert trial.start(None, 7).code == STOPPED
    files = sorted((trial.folder / "pictures").iterdir())
    for file in files[now:]:
        file.unlink()
    pictures(trial.folder / "pictures", {f"new{place}.png": (64, 64) for place in range(now - len(files))})
    story = trial.start()
    assert story.code == 0, trial.told()
    assert story.begun == list(range(8, last + 1))
    assert "the pictures changed since checkpoint-7" in trial.told()
    whole_epoch = sorted(f"flat/{file.name}" for file in (trial.folder / "pictures").iterdir())
    assert sorted(story.used_in(3)) == whole_epoch
    assert len(story.used_in(2)) == 2 * len(left)
    epochs = [record["epoch"] for record in trial.records]
    assert epochs == [1, 1, 1, 2, 2, 2, 3, *(3 for _ in left), *(4 for _ in range(-(-now // 2)))]
