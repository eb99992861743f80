from __future__ import annotations

import logging
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from simpletuner.models import compiled
from simpletuner.models.compiled import CompiledStep
from simpletuner.models.execution import Compile


class Extra(NamedTuple):
    mask: Tensor | None


def step(block: nn.Module, hidden: Tensor, extra: Extra) -> Tensor:
    result: Tensor = block(hidden).tanh()
    return result if extra.mask is None else result * extra.mask


def blocks() -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(4, 4) for _ in range(3)]


NOTHING = Extra(None)


def run(how: CompiledStep[Extra], hidden: Tensor, extra: Extra = NOTHING) -> None:
    for block in blocks():
        assert torch.allclose(how(block, hidden, extra), step(block, hidden, extra), atol=1e-6)


def test_all_blocks_and_all_lengths_share_one_kind() -> None:
    how: CompiledStep[Extra] = CompiledStep(step, Compile("eager", fullgraph=True))
    for length in (5, 6, 9):
        run(how, torch.randn(2, length, 4, requires_grad=True))
    assert len(how.kinds) == 1
    run(how, torch.randn(2, 5, 4, requires_grad=True), Extra(torch.ones(5, 1)))
    with torch.no_grad():
        run(how, torch.randn(2, 5, 4))
    assert len(how.kinds) == 3


def test_every_length_alone_is_a_kind_and_past_the_last_kind_blocks_run_as_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    how: CompiledStep[Extra] = CompiledStep(step, Compile("eager", dynamic=False), most=2)
    for length in (5, 6, 9, 5):
        run(how, torch.randn(2, length, 4))
    assert len(how.kinds) == 2
    told = [record.getMessage() for record in caplog.records if record.name == compiled.__name__]
    assert [line.partition(" in ")[0] for line in told[:2]] == [
        "compiled a block for 2x5x4",
        "compiled a block for 2x6x4",
    ]
    assert told[2] == "torch.compile: 2 kinds of batches are compiled; any others run uncompiled"
