"""An optimizer goes on from its file as if it had never stopped, whatever it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import Parameter

from simpletuner.config.optimizers.names import KEEPS_BF16, OPTIMIZERS
from simpletuner.core.errors import DataError
from simpletuner.training.optimizers import evaluating
from simpletuner.training.state import _COUNTED, load_optimizer, save_optimizer
from tests.training.optimizers.harness import Trained, same

FORMATS = [*((name, torch.float32) for name in OPTIMIZERS), *((name, torch.bfloat16) for name in sorted(KEEPS_BF16))]


@pytest.mark.parametrize(("name", "dtype"), FORMATS)
def test_three_steps_and_three_after_a_resume_are_six(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    broken = Trained(name, dtype)
    start, loss = broken.values(), broken.loss()
    broken.train(3)
    broken.save(tmp_path)
    resumed = broken.resumed(tmp_path)
    assert same(resumed.values(), broken.values())
    resumed.train(3)
    unbroken = Trained(name, dtype)
    assert same(unbroken.values(), start)
    unbroken.train(6)
    assert same(resumed.values(), unbroken.values())
    assert resumed.loss() == unbroken.loss() < loss


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_not_kept_of_a_group_is_configuration(name: str) -> None:
    trained = Trained(name)

    def settings() -> list[dict[str, str]]:
        left_out = {*_COUNTED, "params", "lr"}
        return [
            {key: repr(value) for key, value in group.items() if key not in left_out}
            for group in trained.optimizer.param_groups
        ]

    before = settings()
    trained.train(3)
    assert settings() == before


@pytest.mark.parametrize("name", ["bnb-lion8bit-paged", "ao-adamw4bit", "ao-adamwfp8", "bnb-ademamix8bit"])
def test_low_bit_states_lie_in_the_file_as_they_are(name: str, tmp_path: Path) -> None:
    trained = Trained(name)
    trained.train(1)
    trained.save(tmp_path)
    kept = load_file(tmp_path / "optimizer.safetensors")
    large = [tensor for key, tensor in kept.items() if key.startswith("large/") and tensor.numel() > 4096]
    assert large
    assert all(tensor.element_size() == 1 for tensor in large)


def test_two_saves_of_one_state_hold_the_same(tmp_path: Path) -> None:
    trained = Trained("soap")
    trained.train(2)
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        trained.save(tmp_path / folder)
    first, second = (tmp_path / folder / "optimizer.safetensors" for folder in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_settings_come_from_the_configuration(tmp_path: Path) -> None:
    trained = Trained("prodigy", optimizer_config="d_coef=0.5")
    trained.train(2)
    trained.save(tmp_path)
    resumed = trained.resumed(tmp_path, optimizer_config="d_coef=2")
    assert resumed.optimizer.param_groups[0]["d_coef"] == 2
    assert resumed.optimizer.param_groups[0]["d"] == trained.optimizer.param_groups[0]["d"]


def test_the_weights_in_training_are_kept_where_others_are_meant(tmp_path: Path) -> None:
    trained = Trained("adamw_schedulefree")
    trained.train(3)
    trained.save(tmp_path)
    with evaluating(trained.optimizer):
        meant = trained.values()
    assert not same(meant, trained.values())
    assert same(trained.resumed(tmp_path).values(), trained.values())


def test_a_state_before_the_first_step_is_empty_and_loads(tmp_path: Path) -> None:
    trained = Trained("optimi-lion")
    trained.save(tmp_path)
    resumed = trained.resumed(tmp_path)
    resumed.train(2)
    trained.train(2)
    assert same(resumed.values(), trained.values())


def test_a_state_of_other_parameters_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "optimizer.safetensors"
    trained = Trained("torch-adamw")
    trained.train(1)
    trained.save(tmp_path)
    others = {key: value for key, value in trained.parameters.items() if key != "vector"}
    with pytest.raises(DataError, match="a parameter this run does not train: vector"):
        load_optimizer(trained.optimizer, others, file)


def test_a_state_kept_in_another_form_is_refused(tmp_path: Path) -> None:
    trained = Trained("bnb-lion8bit")
    trained.train(1)
    trained.save(tmp_path)
    with pytest.raises(DataError, match="'state1' was kept in another form"):
        trained.resumed(tmp_path, optimizer_config="min_8bit_size=100000")


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "optimizer.safetensors"
    save_file({"x": torch.zeros(1)}, file)
    parameter = Parameter(torch.zeros(1))
    with pytest.raises(DataError, match="not as this version writes it"):
        load_optimizer(torch.optim.SGD([parameter]), {"x": parameter}, file)


def test_the_file_is_plain_tensors_and_json(tmp_path: Path) -> None:
    parameter = Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    parameter.grad = torch.ones(3)
    optimizer.step()
    save_optimizer(optimizer, {"x": parameter}, tmp_path / "state.safetensors")
    with safe_open(tmp_path / "state.safetensors", "pt") as file:
        assert set(file.keys()) == {"x/step", "x/exp_avg", "x/exp_avg_sq"}
        assert file.metadata()["tree"].startswith('{"state": {"x": {"entries": {"step": "tensor"')
