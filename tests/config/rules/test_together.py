from __future__ import annotations

from typing import Any

import pytest

from simpletuner.config.rules.together import epochs_wanted, scheduler_in_force, trackers, validation_seed
from simpletuner.config.sections.length import LengthConfig
from simpletuner.config.sections.optimizer import OptimizerConfig
from simpletuner.core.errors import ConfigError


@pytest.mark.parametrize(
    ("steps", "epochs", "wanted"), [(10, None, 0), (0, None, 1), (10, 0, 0), (0, 3, 3), (10, 3, 3)]
)
def test_epochs(steps: int, epochs: int | None, wanted: int) -> None:
    assert epochs_wanted(LengthConfig(max_train_steps=steps, num_train_epochs=epochs)) == wanted


@pytest.mark.parametrize(
    ("shape", "warmup", "used"),
    [
        ("constant", 100, "constant_with_warmup"),
        ("constant", 0, "constant"),
        ("cosine", 100, "cosine"),
    ],
)
def test_a_constant_rate_with_a_warmup_warms_up(shape: str, warmup: int, used: object) -> None:
    assert scheduler_in_force(OptimizerConfig(lr_scheduler=shape, lr_warmup_steps=warmup)) == used


def test_trackers() -> None:
    assert trackers("none") == trackers("") == ()
    assert trackers(" TensorBoard , tensorboard,none") == ("tensorboard",)
    assert trackers("comet,comet_ml,WandB") == ("comet_ml", "wandb")
    assert trackers("all,simpletuner,swanlab") == ("all", "simpletuner", "swanlab")


@pytest.mark.parametrize(("own", "seed", "used"), [(7, 3, 7), (0, 3, 0), (None, 3, 3), (None, None, 0), (None, -1, 0)])
def test_the_seed_of_validation(project: Any, own: int | None, seed: int | None, used: object) -> None:
    project.set(validation_seed=own, seed=seed)
    assert validation_seed(project.load().config) == used


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_train_steps": 10, "num_train_epochs": 2}, 'set "num_train_epochs": 0'),
        ({"max_train_steps": 0, "num_train_epochs": 0}, "nothing to train"),
        ({"lr_scheduler": "polynomial", "lr_end": 1e-3}, "lr_end: 0.001 must be below learning_rate (4e-05)"),
        ({"lr_scheduler": "cosine_with_restarts", "lr_end": 1e-3}, "for cosine_with_restarts"),
        ({"lr_scale_sqrt": True}, "lr_scale_sqrt: works with lr_scale only"),
        ({"optimizer_beta1": 0.9}, "optimizer_beta1: is given without optimizer_beta2"),
    ],
)
def test_contradictions(project: Any, options: Any, told: str) -> None:
    project.set(**options)
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert told in str(caught.value)


def test_options_that_rest_are_told(project: Any) -> None:
    project.set(ema_decay=0.9, validation_image_quality=80)
    notices = project.load().notices
    assert "not read: ema_decay (use_ema is off)" in notices
    assert "not read: validation_image_quality (png has no quality)" in notices
    project.set(use_ema=True, validation_disable=True)
    notices = project.load().notices
    assert not any("ema_decay" in notice for notice in notices)
    assert any("validation_seed" in notice and "validation_disable" in notice for notice in notices)


def test_options_of_the_other_adapter_are_told(project: Any) -> None:
    project.set(lora_rank=8, lora_dropout=0)
    assert "not read: lora_dropout, lora_rank (lora_type is lycoris)" in project.load().notices
    project.set(lora_type="standard", lycoris_config="config/lycoris_config.json")
    assert [line for line in project.load().notices if "lora_type" in line] == [
        "not read: lycoris_config (lora_type is standard)"
    ]
    project.entries(project.entry())
    project.set(model_type="full")
    assert not any("(lora_type" in line for line in project.load().notices), "a full run has no adapter: told once"


def test_steps_alone_need_no_epochs(project: Any) -> None:
    project.drop("num_train_epochs")
    assert epochs_wanted(project.load().config.length) == 0


def test_cosine_with_warmup_is_cosine(project: Any) -> None:
    project.set(lr_scheduler="cosine_with_warmup")
    assert project.load().config.optimizer.lr_scheduler == "cosine"


@pytest.mark.parametrize(("written", "ondemand"), [("false", True), (True, False)])
def test_the_old_preprocess_switch(project: Any, written: Any, ondemand: bool) -> None:
    project.drop("vae_cache_ondemand")
    project.set(vae_cache_preprocess=written)
    assert project.load().config.data.vae_cache_ondemand is ondemand
