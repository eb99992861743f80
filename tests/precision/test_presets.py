from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from typing import get_args

import pytest

from simpletuner.config.rules.precision import ROUNDS_INPUTS
from simpletuner.config.sections.precision import PrecisionConfig
from simpletuner.core.errors import ConfigError
from simpletuner.precision.presets import PRESETS, require_device, require_package


def test_the_configuration_knows_exactly_these() -> None:
    annotation = PrecisionConfig.model_fields["base_model_precision"].annotation
    assert set(get_args(annotation)) == {"no_change", *PRESETS}
    assert {name for name, preset in PRESETS.items() if preset.rounds_inputs} == ROUNDS_INPUTS


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_format_runs_on_a_cpu_and_on_a_new_card(name: str) -> None:
    require_device(PRESETS[name], "cpu")
    require_device(PRESETS[name], "cuda", (9, 0))


@pytest.mark.parametrize("name", ["fp8-torchao", "fp8-native"])
def test_an_older_card_is_refused_with_what_it_has(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        require_device(PRESETS[name], "cuda", (8, 6))
    assert caught.value.key == "base_model_precision"
    assert "8.9 (Ada, Hopper or newer); this one has 8.6" in caught.value.reason
    assert caught.value.cure == "use int8-quanto"
    require_device(PRESETS[name], "cuda", (8, 9))


@pytest.mark.parametrize(("name", "cure"), [("fp8-quanto", "int8-quanto"), ("nf4-bnb", "int4-quanto")])
def test_a_device_without_the_numbers_is_refused(name: str, cure: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} has no kernel for mps") as caught:
        require_device(PRESETS[name], "mps")
    assert caught.value.cure == f"use {cure}"
    require_device(PRESETS[cure], "mps")


class _Without:
    """Python's finders, but for one package."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.finders = list(sys.meta_path)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] == self.package:
            return None
        found = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in found if spec is not None), None)


@pytest.fixture
def without_torchao(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchao"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Without("torchao")])


@pytest.mark.usefixtures("without_torchao")
def test_a_missing_package_is_named() -> None:
    require_package(PRESETS["int8-quanto"])
    with pytest.raises(ConfigError, match="the package 'torchao' is not installed") as caught:
        require_package(PRESETS["int8-torchao"])
    assert caught.value.key == "base_model_precision"
    assert "'.[quantise]'" in str(caught.value.cure)


def test_omnigens_base_in_eight_and_four_bits() -> None:
    block_linears = 3_623_878_656
    assert PRESETS["int8-quanto"].stored_bytes(block_linears) / 1e9 == pytest.approx(3.63, abs=0.01)
    assert PRESETS["nf4-bnb"].stored_bytes(block_linears) / 1e9 == pytest.approx(1.87, abs=0.01)
