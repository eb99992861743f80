from __future__ import annotations

from typing import Any

import pytest

from simpletuner.config.rules.optimizer import settings_in_force
from simpletuner.config.rules.together import scheduler_in_force
from simpletuner.config.sections.optimizer import OptimizerConfig, clipping_threshold
from simpletuner.core.errors import ConfigError


def settings(optimizer: str, **options: Any) -> dict[str, Any]:
    return settings_in_force(OptimizerConfig(optimizer=optimizer, **options))


def test_the_own_optimizer_has_the_documents_defaults() -> None:
    assert settings("adamw_bf16") == {"betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 0.01}


@pytest.mark.parametrize("name", ["torch-adam", "bnb-lion8bit-paged", "soap", "optimi-adan", "ao-adamw8bit", "prodigy"])
def test_what_is_not_given_is_the_librarys_own(name: str) -> None:
    assert settings(name) == {}


def test_betas_win_over_the_text_and_the_text_over_adams() -> None:
    assert settings("soap", adam_beta1=0.5)["betas"] == (0.5, 0.999)
    text = {"adam_beta1": 0.5, "optimizer_config": "betas=[0.6,0.7]"}
    assert settings("soap", **text)["betas"] == (0.6, 0.7)
    assert settings("soap", **text, optimizer_beta1=0.8, optimizer_beta2=0.9)["betas"] == (0.8, 0.9)
    assert settings("soap", adam_weight_decay=0.1, optimizer_config="weight_decay=0.2")["weight_decay"] == 0.2


@pytest.mark.parametrize(
    ("name", "third"), [("optimi-adan", 0.99), ("bnb-ademamix", 0.9999), ("bnb-ademamix8bit-paged", 0.9999)]
)
def test_a_third_beta_stays(name: str, third: float) -> None:
    assert settings(name, optimizer_beta1=0.8, optimizer_beta2=0.9)["betas"] == (0.8, 0.9, third)
    assert settings(name, optimizer_config="betas=[0.8,0.9,0.7]")["betas"] == (0.8, 0.9, 0.7)


def test_values_that_an_optimizer_does_not_have_are_left_out() -> None:
    betas = {"optimizer_beta1": 0.8, "optimizer_beta2": 0.9, "adam_beta1": 0.5}
    assert settings("torch-sgd", **betas, adam_epsilon=1e-3, adam_weight_decay=0.1) == {"weight_decay": 0.1}
    assert settings("torch-adafactor", adam_epsilon=1e-3) == {}
    assert settings("bnb-lion", adam_epsilon=1e-3) == {}


def test_muons_partner_gets_adams_values() -> None:
    given = {"optimizer_beta1": 0.8, "optimizer_beta2": 0.9, "adam_epsilon": 1e-7, "adam_weight_decay": 0.1}
    assert settings("muon", **given) == {
        "use_adjusted_lr": True,
        "adamw_betas": (0.8, 0.9),
        "adamw_eps": 1e-7,
        "weight_decay": 0.1,
        "adamw_wd": 0.1,
    }
    assert settings("muon", adam_weight_decay=0.1, optimizer_config="adamw_wd=0.2")["adamw_wd"] == 0.2


def test_a_schedule_free_optimizer_warms_up_itself() -> None:
    plain = settings("adamw_schedulefree", lr_warmup_steps=50)
    assert plain == {"weight_decay": 0.01, "warmup_steps": 50}
    assert settings("adamw_schedulefree+aggressive", lr_warmup_steps=50) == plain | {"r": 1.0}
    assert settings("adamw_schedulefree+no_kahan", lr_warmup_steps=50) == plain
    config = OptimizerConfig(optimizer="adamw_schedulefree", lr_scheduler="cosine", lr_warmup_steps=50)
    assert scheduler_in_force(config) == "constant"


@pytest.mark.parametrize(("name", "threshold"), [("prodigy", 0), ("optimi-stableadamw", 0), ("soap", 0.5)])
def test_two_optimizers_are_not_clipped(name: str, threshold: float) -> None:
    assert clipping_threshold(OptimizerConfig(optimizer=name, max_grad_norm=0.5)) == threshold


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"optimizer_config": "d=3"}, "optimizer_config: adamw_bf16 has no setting 'd'; it has betas, eps"),
        ({"optimizer_config": {"eps": "tiny"}}, "optimizer_config: eps: 'tiny' is not a number"),
        ({"optimizer_config": ["eps"]}, "optimizer_config: 'eps' is not key=value"),
        ({"output_dir": {"eps": 1}}, "output_dir: a text is expected, not an object in braces"),
    ],
)
def test_mistakes_are_told_with_the_file(project: Any, options: dict[str, Any], told: str) -> None:
    project.set(**options)
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert f"{project.config}: {told}" in str(caught.value)


def test_an_object_and_pairs_say_the_same(project: Any) -> None:
    project.set(optimizer="prodigy", learning_rate=1, optimizer_config={"d_coef": 0.5, "betas": [0.9, 0.99]})
    written = settings_in_force(project.load().config.optimizer)
    project.set(optimizer_config="d_coef=0.5,betas=[0.9,0.99]")
    assert settings_in_force(project.load().config.optimizer) == written == {"d_coef": 0.5, "betas": (0.9, 0.99)}
    assert settings_in_force(project.load(optimizer_config="d_coef=0.1").config.optimizer) == {"d_coef": 0.1}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"optimizer": "adamw_schedulefree", "lr_scheduler": "polynomial", "lr_end": 1, "max_grad_norm": 1},
            "not read: lr_end, lr_scheduler (adamw_schedulefree keeps its own schedule)",
        ),
        ({"optimizer": "adamw_schedulefree"}, "saves and validates averaged weights"),
        ({"optimizer": "adamw_schedulefree", "use_ema": True}, "use_ema keeps a second average"),
        ({"optimizer": "adamw_schedulefree+no_kahan"}, "there is no Kahan sum to leave out"),
        ({"optimizer": "prodigy"}, "not read: grad_clip_method, max_grad_norm (gradients are not clipped for prodigy)"),
        ({"optimizer": "prodigy"}, "multiplies it by learning_rate: 4e-05 is very low, 1 is usual"),
        ({"optimizer": "torch-sgd", "adam_beta1": 0.5}, "not read: adam_beta1 (torch-sgd has no such setting)"),
        ({"optimizer": "ao-adamwfp8"}, "80 times the rate"),
    ],
)
def test_what_a_choice_means_is_told(project: Any, options: dict[str, Any], told: str) -> None:
    assert not any(told in notice for notice in project.load().notices)
    project.set(**options)
    assert any(told in notice for notice in project.load().notices)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"learning_rate": None}, "learning_rate is not given: 4e-07 teaches an adapter next to nothing"),
        ({"lr_warmup_steps": 10_000}, "lr_warmup_steps 10000: the rate still rises when the run ends, after 10000"),
    ],
)
def test_a_rate_that_never_teaches_is_told(project: Any, options: dict[str, Any], told: str) -> None:
    assert not any(told in notice for notice in project.load().notices)
    project.set(**options)
    assert any(told in notice for notice in project.load().notices)
    project.set(optimizer="prodigy", lr_warmup_steps=9_999)
    assert not any(told in notice for notice in project.load().notices)


def test_the_usual_choice_is_told_nothing_of_it(project: Any) -> None:
    project.set(optimizer="bnb-lion8bit-paged", adam_weight_decay=0.1, optimizer_beta1=0.9, optimizer_beta2=0.99)
    usual = project.load().notices
    project.set(optimizer="adamw_bf16")
    assert project.load().notices == usual
