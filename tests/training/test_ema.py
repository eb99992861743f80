"""The average: its decay by the worked examples, its values by hand, and the live weights left as they were."""

from __future__ import annotations

import pytest
import torch
from torch.nn import Parameter

from simpletuner.training.ema import Ema, EmaSettings, decay_at

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("step", "expected"), [(1, 0.0), (2, 0.1818), (11, 0.55), (101, 0.918), (1791, 0.995), (9999, 0.995)]
)
def test_decay_of_the_specification(step: int, expected: float) -> None:
    assert decay_at(EmaSettings(decay=0.995), step) == pytest.approx(expected, abs=1e-3)


def test_with_warmup_it_copies_and_then_decays_at_once() -> None:
    settings = EmaSettings(decay=0.9, warmup=3)
    assert [decay_at(settings, step) for step in (1, 3, 4)] == [0.0, 0.0, 0.9]


def test_shadow_is_fp32_and_follows_the_formula() -> None:
    parameter = Parameter(torch.zeros(3, dtype=torch.bfloat16))
    ema = Ema({"w": parameter}, EmaSettings(decay=0.9, warmup=1), CPU)
    for step, value in ((1, 1.0), (2, 2.0)):
        parameter.data.fill_(value)
        ema.update(step)
    assert ema.shadow["w"].dtype == torch.float32
    assert torch.allclose(ema.shadow["w"], torch.full((3,), 0.9 * 1.0 + 0.1 * 2.0))


def test_off_the_interval_nothing_moves() -> None:
    parameter = Parameter(torch.zeros(2))
    ema = Ema({"w": parameter}, EmaSettings(decay=0.5, interval=2), CPU)
    parameter.data.fill_(5.0)
    assert ema.update(1) is None
    assert ema.shadow["w"].sum() == 0


def test_live_weights_come_back_bit_for_bit_even_after_an_error() -> None:
    parameter = Parameter(torch.randn(5))
    live = parameter.detach().clone()
    ema = Ema({"w": parameter}, EmaSettings(decay=0.9), CPU)
    ema.load({"w": torch.zeros(5)})
    with pytest.raises(RuntimeError, match="stop"), ema.applied():
        assert parameter.detach().abs().sum() == 0
        raise RuntimeError("stop")
    assert torch.equal(parameter, live)
