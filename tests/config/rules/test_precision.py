from __future__ import annotations

from typing import Any

import pytest

from simpletuner.core.errors import ConfigError


def problem_of(project: Any, **values: object) -> str:
    project.set(**values)
    with pytest.raises(ConfigError) as caught:
        project.load()
    return str(caught.value)


def test_a_quantised_base_and_an_adapter_go_together(project: Any) -> None:
    project.set(base_model_precision="int8-quanto", quantize_via="cpu")
    loaded = project.load()
    assert (loaded.config.precision.base_model_precision, loaded.config.precision.quantize_via) == (
        "int8-quanto",
        "cpu",
    )
    assert not [line for line in loaded.notices if "quantize_via" in line]


@pytest.mark.parametrize(
    ("dtype", "arithmetic", "lines"), [("fp16", "bf16", 1), ("fp16", "no", 0), ("bf16", "bf16", 0)]
)
def test_a_vae_that_overflows_is_told(project: Any, dtype: str, arithmetic: str, lines: int) -> None:
    project.set(vae_dtype=dtype, mixed_precision=arithmetic)
    assert len([line for line in project.load().notices if "overflows" in line]) == lines


def test_full_training_wants_its_weights_whole(project: Any) -> None:
    said = problem_of(project, model_type="full", base_model_precision="int8-quanto")
    assert "base_model_precision: int8-quanto freezes the weights" in said
    assert "set it to no_change" in said


@pytest.mark.parametrize("preset", ["fp8uz-quanto", "fp8-native"])
def test_pipeline_is_refused_where_diffusers_has_no_loader(project: Any, preset: str) -> None:
    said = problem_of(project, base_model_precision=preset, quantize_via="pipeline")
    assert f"quantize_via: diffusers cannot load {preset}" in said
    assert '"quantize_via": "cpu"' in said


def test_pipeline_is_told_to_be_done_layer_by_layer(project: Any) -> None:
    project.set(base_model_precision="nf4-bnb", quantize_via="pipeline")
    assert [line for line in project.load().notices if line.startswith("quantize_via pipeline is done as cpu")]


@pytest.mark.parametrize(
    ("preset", "cure"),
    [
        ("int8-quanto", '"int8dq-torchao"'),
        ("fp8wo-torchao", '"fp8-torchao"'),
        ("nf4-bnb", '"int8dq-int4-torchao"'),
        ("no_change", "remove it"),
    ],
)
def test_rounded_activations_belong_to_a_format(project: Any, preset: str, cure: str) -> None:
    said = problem_of(project, base_model_precision=preset, quantize_activations="true")
    assert f"quantize_activations: {preset} keeps the inputs of layers as they are" in said
    assert cure in said


@pytest.mark.parametrize("preset", ["int8dq-torchao", "fp8-torchao"])
def test_rounded_activations_may_be_asked_of_a_format_that_has_them(project: Any, preset: str) -> None:
    project.set(base_model_precision=preset, quantize_activations=True)
    assert project.load().config.precision.quantize_activations


def test_the_place_of_quantisation_is_idle_without_one(project: Any) -> None:
    project.set(base_model_precision="no_change", quantize_via="cpu")
    assert [line for line in project.load().notices if line.startswith("not read: quantize_via")]
