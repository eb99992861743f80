"""optimi: Kahan's sum where weights are narrow."""

from __future__ import annotations

import pytest
import torch

from simpletuner.config.optimizers.names import OPTIMIZERS
from tests.training.optimizers.harness import Trained

NAMES = [name for name in OPTIMIZERS if name.startswith("optimi-")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_sum_is_kept_for_narrow_weights_only(name: str, dtype: torch.dtype) -> None:
    trained = Trained(name, dtype)
    trained.train(1)
    kept = trained.optimizer.state[trained.parameters["large"]]["kahan_comp"]
    assert (kept is not None) == (dtype == torch.bfloat16)


def test_small_steps_add_up_in_bf16() -> None:
    exact = Trained("optimi-lion", torch.bfloat16)
    rounded = Trained("optimi-lion", torch.bfloat16, optimizer_config="kahan_sum=false")
    start = exact.loss()
    for trained in (exact, rounded):
        trained.rate = 1e-4
        trained.train(15)
    assert exact.loss() < start
    assert exact.loss() < rounded.loss()
