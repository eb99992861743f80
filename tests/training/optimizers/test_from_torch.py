"""torch's own: fused where that pays, as asked for otherwise."""

from __future__ import annotations

import pytest
import torch

from simpletuner.config.optimizers.names import OPTIMIZERS
from tests.training.optimizers.harness import Trained

FUSED = {"torch-adam", "torch-adamw", "torch-sgd", "torch-adagrad"}


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name.startswith("torch-")])
def test_what_can_be_fused_is(name: str) -> None:
    assert bool(Trained(name).optimizer.param_groups[0].get("fused")) == (name in FUSED)


@pytest.mark.parametrize("name", sorted(FUSED))
def test_fused_numbers_are_those_of_the_plain_form(name: str) -> None:
    fused, plain = Trained(name), Trained(name, optimizer_config="fused=false")
    assert not plain.optimizer.param_groups[0]["fused"]
    for trained in (fused, plain):
        trained.train(5)
    for key, values in fused.values().items():
        assert torch.allclose(values, plain.values()[key], atol=1e-6), key


def test_foreach_is_a_choice_too() -> None:
    group = Trained("torch-adamw", optimizer_config="foreach=true").optimizer.param_groups[0]
    assert (group["foreach"], group["fused"]) == (True, None)
