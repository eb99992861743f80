"""bitsandbytes: what is kept in 8 bits, and that each name is its library's optimizer."""

from __future__ import annotations

import pytest
import torch
from bitsandbytes import optim
from torch.nn import Parameter

from simpletuner.config.optimizers.names import OPTIMIZERS
from simpletuner.training.optimizers import from_bitsandbytes
from tests.training.optimizers.harness import Trained

NAMES = [name for name in OPTIMIZERS if name.startswith("bnb-")]


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_those_of_the_name_where_a_tensor_is_large(name: str) -> None:
    trained = Trained(name)
    trained.train(1)
    kept = {key: trained.optimizer.state[value]["state1"].dtype for key, value in trained.parameters.items()}
    assert kept.pop("large") == (torch.uint8 if "8bit" in name else torch.float32)
    assert set(kept.values()) == {torch.float32}


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-paged")])
def test_on_a_cpu_a_paged_one_is_its_plain_twin(name: str) -> None:
    paged, plain = Trained(name), Trained(name.removesuffix("-paged"))
    for trained in (paged, plain):
        trained.train(3)
    for key, values in paged.values().items():
        assert torch.equal(values, plain.values()[key])


def test_a_large_paged_ademamix_runs_on_a_cpu() -> None:
    """Its own class would ask CUDA for pages from 100,000 values on."""
    parameter = Parameter(torch.zeros(400, 400))
    parameter.grad = torch.ones_like(parameter)
    made = from_bitsandbytes.build("bnb-ademamix8bit-paged", [parameter], 1e-2, {})
    made.step()
    assert parameter.max() < 0


def test_the_numbers_are_the_librarys() -> None:
    trained = Trained("bnb-lion8bit-paged")
    theirs = [Parameter(value.clone()) for value in trained.values().values()]
    own = optim.Lion8bit(theirs, lr=trained.rate * 0.95)
    for parameter, target in zip(theirs, trained.target.values(), strict=True):
        parameter.grad = parameter.detach() - target
    own.step()
    trained.train(1)
    assert all(torch.equal(mine, their) for mine, their in zip(trained.values().values(), theirs, strict=True))


def test_whose_an_optimizer_is() -> None:
    assert from_bitsandbytes.is_ours(Trained("bnb-adagrad").optimizer)
    assert not from_bitsandbytes.is_ours(Trained("torch-adagrad").optimizer)
