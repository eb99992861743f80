"""The learning rate as given and as it acts."""

from __future__ import annotations

import pytest
import torch

from simpletuner.training.optimizers import rate_in_force, set_rate
from tests.training.optimizers.harness import Trained


@pytest.mark.parametrize("name", ["torch-adamw", "ao-adamw8bit", "bnb-lion8bit", "muon", "soap", "adamw_bf16"])
def test_a_new_rate_acts_and_is_told(name: str) -> None:
    trained = Trained(name)
    trained.train(2)
    before = trained.values()
    set_rate(trained.optimizer, 0.0)
    for parameter in trained.parameters.values():
        parameter.grad = torch.ones_like(parameter)
    trained.optimizer.step()
    assert all(torch.equal(before[key], value) for key, value in trained.values().items())
    set_rate(trained.optimizer, 1e-4)
    assert rate_in_force(trained.optimizer) == 1e-4
    assert all(float(group["lr"]) == pytest.approx(1e-4) for group in trained.optimizer.param_groups)


def test_prodigys_rate_is_its_distance_times_the_rate() -> None:
    trained = Trained("prodigy", optimizer_config="d0=0.01")
    assert rate_in_force(trained.optimizer) == 0.01
    trained.train(8)
    distance = trained.optimizer.param_groups[0]["d"]
    assert distance > 0.01
    assert rate_in_force(trained.optimizer) == pytest.approx(distance * 0.6)


def test_a_schedule_free_rate_rises_over_its_own_warm_up() -> None:
    trained = Trained("adamw_schedulefree", lr_warmup_steps=4)
    seen = []
    for step in range(1, 7):
        before = trained.values()
        trained.train(1)
        set_rate(trained.optimizer, 1e-2)
        seen.append(rate_in_force(trained.optimizer))
        moved = (trained.values()["large"] - before["large"]).abs().max().item()
        assert moved < 0.02 * step, "the first steps are small"
    assert seen == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01])
