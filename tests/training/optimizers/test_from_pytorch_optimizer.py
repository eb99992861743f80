"""pytorch-optimizer: SOAP, Prodigy, Muon and the schedule-free AdamW."""

from __future__ import annotations

import pytest
import torch
from torch.nn import Parameter

from simpletuner.training.optimizers.from_pytorch_optimizer import build
from tests.training.optimizers.harness import Trained


def test_muon_moves_matrices_and_its_adamw_the_rest() -> None:
    trained = Trained("muon")
    trained.train(1)
    kept = {key: set(trained.optimizer.state[value]) for key, value in trained.parameters.items()}
    assert kept["small"] == kept["large"] == {"momentum_buffer"}
    assert kept["vector"] == kept["scalar"] == {"exp_avg", "exp_avg_sq"}


@pytest.mark.parametrize("shape", [(8, 8), (8,)])
def test_muon_needs_neither_kind(shape: tuple[int, ...]) -> None:
    parameter = Parameter(torch.zeros(shape))
    optimizer = build("muon", [parameter], 1e-2, {"use_adjusted_lr": True})
    parameter.grad = torch.ones(shape)
    optimizer.step()
    assert parameter.max() < 0


def test_muon_and_its_partner_move_weights_alike() -> None:
    """One learning rate serves both: the root mean square of a step is near it."""
    trained = Trained("muon")
    before = trained.values()
    trained.train(1)
    steps = {key: (value - before[key]).square().mean().sqrt().item() for key, value in trained.values().items()}
    assert steps["vector"] == pytest.approx(0.0095, rel=0.01)
    assert 0.1 < steps["large"] / steps["vector"] < 1


def test_soap_turns_into_the_eigenvectors_of_each_edge() -> None:
    trained = Trained("soap", optimizer_config="max_precondition_dim=100,precondition_1d=true")
    trained.train(2)
    turned = {
        key: [tuple(matrix.shape) for matrix in trained.optimizer.state[value]["Q"] if len(matrix)]
        for key, value in trained.parameters.items()
    }
    assert turned == {"small": [(16, 16), (16, 16)], "large": [], "vector": [(64, 64)], "scalar": []}


def test_prodigy_finds_a_rate() -> None:
    trained = Trained("prodigy")
    trained.train(10)
    assert trained.optimizer.param_groups[0]["d"] > 1e-5
