from __future__ import annotations

import re
from typing import Any

import pytest

from simpletuner.config.optimizers.names import OPTIMIZERS
from simpletuner.config.optimizers.settings import read_settings, settings_of


@pytest.mark.parametrize(
    ("optimizer", "text", "values"),
    [
        ("prodigy", None, {}),
        ("prodigy", " ", {}),
        ("prodigy", "d_coef=0.5, safeguard_warmup=TRUE,", {"d_coef": 0.5, "safeguard_warmup": True}),
        ("prodigy", '{"d_coef": "2", "betas": [0.9, 0.99]}', {"d_coef": 2.0, "betas": (0.9, 0.99)}),
        ("prodigy", "beta3=none", {"beta3": None}),
        ("torch-adamw", "betas=[0.8, 0.9],amsgrad=1", {"betas": (0.8, 0.9), "amsgrad": True}),
        ("torch-adamw", "betas=(0.8,0.9),eps=1e-7", {"betas": (0.8, 0.9), "eps": 1e-7}),
        ("torch-adafactor", '{"eps": [null, 1e-4]}', {"eps": (None, 1e-4)}),
        ("soap", "precondition_frequency=5", {"precondition_frequency": 5}),
        ("muon", "ns_method=gram_newton_schulz", {"ns_method": "gram_newton_schulz"}),
        ("bnb-lion8bit-paged", "min_8bit_size=16384", {"min_8bit_size": 16384}),
    ],
)
def test_both_ways_of_writing(optimizer: str, text: str | None, values: dict[str, Any]) -> None:
    assert read_settings(optimizer, text) == values


@pytest.mark.parametrize(
    ("optimizer", "text", "told"),
    [
        ("prodigy", "d_coef", "'d_coef' is not key=value"),
        ("prodigy", "=3", "'' is not key=value"),
        ("prodigy", "d_coeff=1", "prodigy has no setting 'd_coeff'; did you mean 'd_coef'?"),
        ("torch-sgd", "betas=[0.9,0.9]", "it has dampening, foreach, fused, momentum, nesterov, weight_decay"),
        ("soap", "precondition_frequency=often", "precondition_frequency: 'often' is not a number"),
        ("soap", "merge_dims=perhaps", "merge_dims: 'perhaps' is neither on nor off"),
        ("soap", "precondition_frequency=2.5", "'2.5' is not a whole number"),
        ("torch-adamw", '{"betas": 0.9}', "'0.9' is not a list of numbers"),
        ("torch-adamw", "betas=[0.9,high]", "betas: 'high' is not a number"),
        ("torch-adamw", '{"betas": ', "is not a JSON object"),
        ("torch-adamw", "maximize=true", "no setting 'maximize'"),
    ],
)
def test_mistakes_name_the_key_and_what_is_near(optimizer: str, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        read_settings(optimizer, text)


def test_every_optimizer_has_its_settings() -> None:
    for name in OPTIMIZERS:
        assert {"weight_decay"} <= settings_of(name).keys(), name
    assert "t_alpha" in settings_of("bnb-ademamix8bit-paged")
    assert "t_alpha" not in settings_of("bnb-adamw8bit-paged")
