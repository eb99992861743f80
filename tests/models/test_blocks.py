"""Every way of running blocks, over real blocks of OmniGen with a LoKr: the same numbers to the bit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.config.files.lycoris import parse_lycoris
from simpletuner.core.batch import Prompt
from simpletuner.core.errors import ConfigError
from simpletuner.models.blocks import BlockRunner
from simpletuner.models.execution import Compile, Execution
from simpletuner.models.omnigen.activations import entry_per_token, kept_per_token
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS
from simpletuner.models.recompute import by_interval, keeping, plain
from simpletuner.precision.quantise import quantise
from tests.models.omnigen.tiny_model import random_omnigen

CPU = torch.device("cpu")
DOCUMENT = Path("tests/fixtures/document/lycoris_config.json")
BLOCKS = 6
BATCHES = [[9, 9], [5, 12]]
Numbers = list[list[Tensor]]


class Trained:
    """Six blocks of OmniGen, frozen or in few bits, and a LoKr with random values over them."""

    def __init__(self, preset: str = "no_change", **settings: object) -> None:
        self.family = OmniGen()
        self.model = random_omnigen(num_layers=BLOCKS).requires_grad_(requires_grad=False)
        if preset != "no_change":
            quantise(self.model, [shape.path for shape in self.family.linears(self.model)], preset, CPU, "cpu")
        recipe = parse_lycoris(json.loads(DOCUMENT.read_text()) | settings, DOCUMENT)
        self.adapter = attach_lycoris(self.model, recipe, FACTS.class_aliases, seed=0)
        draws = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in self.adapter.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draws) * 0.05)

    def numbers(self, execution: Execution, batches: Sequence[list[int]] = BATCHES * 2) -> Numbers:
        """Velocity without gradients, velocity with them and the adapter's gradients, of several batches in turn."""
        self.family.configure(self.model, execution)
        found = []
        for seed, lengths in enumerate(batches):
            torch.manual_seed(seed)
            prompts = [Prompt(torch.arange(3, 3 + length)) for length in lengths]
            seen: Any = (torch.randn(len(lengths), 4, 8, 8), torch.rand(len(lengths)), prompts)
            with torch.no_grad():
                alone = self.family.predict_velocity(self.model, *seen)
            velocity = self.family.predict_velocity(self.model, *seen)
            gradients = torch.autograd.grad(velocity.square().mean(), list(self.adapter.parameters()))
            found.append([alone, velocity.detach(), *gradients])
        return found


def equal(found: Numbers, expected: Numbers) -> bool:
    pairs = [pair for one, other in zip(found, expected, strict=True) for pair in zip(one, other, strict=True)]
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained()


@pytest.fixture(scope="module")
def expected(trained: Trained) -> Numbers:
    return trained.numbers(Execution())


@pytest.mark.parametrize(
    "execution",
    [
        Execution(recompute=True),
        Execution(recompute=True, interval=4),
        Execution(recompute=True, interval=99),
        Execution(recompute=True, budget=0),
        Execution(recompute=True, budget=500_000),
        Execution(recompute=True, budget=2**40),
        Execution(recompute=True, swapped=1),
        Execution(recompute=True, swapped=BLOCKS - 2),
        Execution(recompute=True, budget=500_000, swapped=2),
        Execution(attention="sdpa-flash"),
    ],
    ids=str,
)
def test_how_blocks_run_changes_no_bit(trained: Trained, expected: Numbers, execution: Execution) -> None:
    assert equal(trained.numbers(execution), expected)


def test_another_kernel_rounds_differently_and_no_more(trained: Trained, expected: Numbers) -> None:
    found = trained.numbers(Execution(recompute=True, attention="sdpa-math"))
    assert (found[1][1] - expected[1][1]).abs().max() < 1e-5 * expected[1][1].abs().max()
    assert not equal(found, expected)


@pytest.mark.parametrize("preset", ["int8-torchao", "int4-quanto"])
def test_weights_in_few_bits_are_swapped_too(preset: str) -> None:
    few = Trained(preset)
    exact = few.numbers(Execution())
    assert equal(few.numbers(Execution(recompute=True, swapped=3)), exact)
    swap = few.model.running.blocks.swap
    assert swap is not None
    frozen = sum(tensor.nbytes for tensor in few.model.layers[0].state_dict().values())
    assert swap.slot_bytes == pytest.approx(frozen, abs=256 * 20)


def test_an_adapter_that_draws_numbers_draws_the_same_when_it_is_computed_again() -> None:
    drawing = Trained(dropout=0.3)
    drawing.adapter.train()
    exact = drawing.numbers(Execution())
    for execution in (Execution(recompute=True, swapped=2), Execution(recompute=True, budget=500_000)):
        assert equal(drawing.numbers(execution), exact)


# Torch's compiler does two things that torch warns of: it makes contexts of functions, and looks at any tensor's grad.
COMPILES = (
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
)


def compiles(test: Any) -> Any:
    """The marks of a test that compiles."""
    for mark in COMPILES:
        test = mark(test)
    return test


def nearly(found: Numbers, expected: Numbers, within: float) -> bool:
    pairs = zip(chain.from_iterable(found), chain.from_iterable(expected), strict=True)
    return all((one - other).abs().max() < within * other.abs().max() for one, other in pairs)


@compiles
def test_a_compiled_block_serves_all_blocks_and_gives_the_same_numbers(trained: Trained, expected: Numbers) -> None:
    compiled = Compile("aot_eager", fullgraph=True)
    found = trained.numbers(Execution(recompute=True, swapped=2, compiled=compiled), BATCHES[:1])
    assert nearly(found, expected[:1], 1e-5)


@pytest.mark.long
@compiles
@pytest.mark.parametrize("dynamic", [True, False])
def test_a_compiled_block_serves_batches_of_all_kinds(trained: Trained, expected: Numbers, *, dynamic: bool) -> None:
    compiled = Compile("aot_eager", fullgraph=True, dynamic=dynamic)
    assert nearly(trained.numbers(Execution(recompute=True, compiled=compiled)), expected, 1e-5)


@pytest.mark.long
@pytest.mark.needs("g++")
@compiles
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_inductors_kernels_give_the_same_numbers(trained: Trained, expected: Numbers) -> None:
    assert nearly(trained.numbers(Execution(recompute=True, compiled=Compile("inductor"))), expected, 1e-4)


def step(block: nn.Module, hidden: Tensor, extra: tuple[int]) -> Tensor:
    result: Tensor = block(hidden) * extra[0]
    return result


def test_which_blocks_keep_what_their_backward_pass_needs() -> None:
    blocks = [nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(5)]
    hidden = torch.randn(4, 8)
    kept, entry = 4 * 8 * 4 * 2, 4 * 8 * 4
    for execution, groups in (
        (Execution(), plain(5)),
        (Execution(recompute=True), keeping(5, {4})),
        (Execution(recompute=True, interval=3), by_interval(5, 3)),
        (Execution(recompute=True, budget=5 * entry), keeping(5, {4})),
        (Execution(recompute=True, budget=2 * kept + 3 * entry), keeping(5, {3, 4})),
        (Execution(recompute=True, budget=5 * kept), keeping(5, range(5))),
        (Execution(recompute=True, budget=2 * kept + 3 * entry, swapped=1), keeping(5, {2, 4})),
    ):
        runner = BlockRunner(blocks, step, execution)
        assert runner.groups(hidden, (1,)) == groups
        with torch.no_grad():
            assert runner.groups(hidden, (1,)) == plain(5)


def test_the_budget_is_held_by_what_autograd_keeps(trained: Trained) -> None:
    """The document's LoKr over every linear: the arithmetic of an adapted block tells how many fit."""
    tokens, config = 2 * (9 + 1 + 16), trained.model.config
    kept, entry = tokens * kept_per_token(config, 4, adapted=True), tokens * entry_per_token(config, 4)
    trained.family.configure(trained.model, Execution(recompute=True, budget=round(3.3 * kept + 3 * entry)))
    runner = trained.model.running.blocks
    trained.family.predict_velocity(
        trained.model, torch.randn(2, 4, 8, 8), torch.rand(2), [Prompt(torch.arange(3, 12))] * 2
    )
    (size,) = runner._sizes.values()
    assert size.entry == entry
    assert size.kept == pytest.approx(kept, rel=0.1)


def test_a_swap_that_would_read_weights_that_left_is_refused() -> None:
    model = random_omnigen(num_layers=4)
    for execution in (Execution(swapped=1), Execution(recompute=True, interval=2, swapped=1)):
        with pytest.raises(ValueError, match="one by one"):
            OmniGen().configure(model, execution)
    with pytest.raises(ConfigError, match="at most 2"):
        OmniGen().configure(model, Execution(recompute=True, swapped=3))
