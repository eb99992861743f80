"""The LoKr benchmark in its quick form: the same function is compared, and its floors are arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.floors import Floors
from benchmarks.lokr import LAYERS, Layer, Setting, floor_figures, main, measured

CPU = torch.device("cpu")
SETTING = Setting(CPU, torch.float32, tokens=24, rounds=1)
FLOORS = Floors(rate=1e9, bandwidth=1e9)


@pytest.mark.parametrize(("index", "expected"), [(0, 1.10), (1, 1.19), (2, 1.19)])
def test_the_structure_of_the_documents_layers_costs(index: int, expected: float) -> None:
    found = floor_figures(LAYERS[index], SETTING, FLOORS, seconds=1.0)
    assert found["ratio_to_frozen_by_multiply_adds"] == pytest.approx(expected, abs=0.01)


def test_many_tokens_on_a_cpu_pay_for_the_forward_branch_once() -> None:
    found = floor_figures(LAYERS[2], Setting(CPU, torch.float32, tokens=1100, rounds=1), FLOORS, seconds=1.0)
    # Two products of a sixteenth each are left to the backward pass, and three small ones.
    assert found["ratio_to_frozen_by_multiply_adds"] == pytest.approx(1 + 1 / 8 + 1 / 1100 / 2, abs=6e-3)
    narrow = floor_figures(LAYERS[2], Setting(CPU, torch.bfloat16, tokens=1100, rounds=1), FLOORS, seconds=1.0)
    assert narrow["ratio_to_frozen_by_multiply_adds"] == pytest.approx(1.19, abs=0.01)


def test_floors_by_hand() -> None:
    # 2 groups of 3 inputs and 4 outputs; w2 first is cheaper in no direction.
    layer = Layer(6, 8, 2)
    products = 2 * 4 * 3
    small = 2 * 2 * 3
    assert layer.cost(1, merges=False).multiply_adds == (products + small) + (2 * products + 3 * small)
    found = floor_figures(layer, SETTING, FLOORS, seconds=1.0)
    assert found["ratio_to_frozen_by_multiply_adds"] == pytest.approx(1 + 120 / 96)
    assert found["floor_seconds_by_rate"] == pytest.approx(2 * 24 * (96 + 120) / 1e9)
    assert found["bytes"] == 4 * (24 * (3 * 6 + 2 * 8) + 2 * 48)
    assert found["seconds_to_floor"] == pytest.approx(1 / found["floor_seconds_by_rate"])


def test_the_same_function_is_compared() -> None:
    found = measured(Layer(96, 64, 4), SETTING, FLOORS)
    assert 0 < found["gradient_difference_to_lycoris"] < 1e-5
    assert found["gradient_difference_to_lycoris_bypass"] < 1e-5
    assert found["threads"] == torch.get_num_threads()
    for one, other in (("lokr", "frozen"), ("lycoris", "frozen"), ("lycoris_bypass", "frozen")):
        name = "ratio_to_frozen" if one == "lokr" else f"{one}_to_frozen"
        assert found[name] == pytest.approx(found[f"{one}_seconds"] / found[f"{other}_seconds"])
    assert found["ratio_to_lycoris"] == pytest.approx(found["lokr_seconds"] / found["lycoris_seconds"])


def test_bf16_is_measured_too() -> None:
    found = measured(Layer(96, 64, 4), Setting(CPU, torch.bfloat16, tokens=24, rounds=1), FLOORS)
    assert found["dtype"] == "bfloat16"
    assert found["gradient_difference_to_lycoris_bypass"] < 0.05


def test_figures_join_those_that_are_there(tmp_path: Path) -> None:
    name, file = "96x64_by_4_24_tokens_float32_cpu", tmp_path / "figures.json"
    file.write_text(json.dumps({name: "to be replaced", "other": "as before"}))
    main(["--quick", "--json", str(file)])
    found = json.loads(file.read_text())
    assert set(found) == {name, "other"}
    assert found["other"] == "as before"
    assert {"commit", "device", "cores_that_others_kept_busy"} < set(found[name]["made_on"])
    assert found[name]["floors"]["matmul_tflops"] > 0
    assert found[name]["ratio_to_frozen"] > 0


def test_layers_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--quick", "--only", LAYERS[0].name])
    assert json.loads(capsys.readouterr().out) == {}
    with pytest.raises(SystemExit):
        main(["--only", "3072x3072"])
    assert "3072x3072_by_16" in capsys.readouterr().err
