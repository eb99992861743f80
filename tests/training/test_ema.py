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


@pytest.mark.parametrize("at", [None, CPU])
def test_many_at_once_and_one_by_one_are_the_same_to_the_bit(
    monkeypatch: pytest.MonkeyPatch, at: torch.device | None
) -> None:
    """Groups are cut between the tensors, the last one is alone, and one is larger than a group."""
    monkeypatch.setattr("simpletuner.training.ema._AT_ONCE", 40)
    sizes = (7, 30, 4, 100, 3, 1)
    draws = torch.Generator().manual_seed(0)
    weights = {str(number): Parameter(torch.randn(size, generator=draws)) for number, size in enumerate(sizes)}
    grouped, single = (Ema(weights, EmaSettings(0.9, at=at, one_by_one=alone), CPU) for alone in (False, True))
    by_hand = {name: weight.detach().clone() for name, weight in weights.items()}
    for step in (1, 2, 3):
        for weight in weights.values():
            weight.data.add_(torch.randn(weight.shape, generator=draws))
        decay = grouped.update(step)
        assert single.update(step) == decay
        assert decay is not None
        by_hand = {name: decay * by_hand[name] + (1 - decay) * weight.detach() for name, weight in weights.items()}
    for name, shadow in grouped.shadow.items():
        assert torch.equal(shadow, single.shadow[name])
        assert torch.allclose(shadow, by_hand[name], atol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("at", [None, torch.device("cuda")])
def test_an_average_on_the_cpu_may_be_computed_on_the_card(at: torch.device | None) -> None:
    weight = Parameter(torch.zeros(5, device="cuda"))
    ema = Ema({"w": weight}, EmaSettings(0.5, warmup=1, at=at), CPU)
    weight.data.fill_(4.0)
    ema.update(2)
    assert ema.shadow["w"].device == CPU
    assert ema.shadow["w"].tolist() == [2.0] * 5


def test_live_weights_come_back_when_the_average_cannot_be_put_in_their_place() -> None:
    """As when a device has no memory for it."""
    weights = {name: Parameter(torch.full((3,), 2.0)) for name in "ab"}
    ema = Ema(weights, EmaSettings(0.9), CPU)
    ema.shadow["a"].fill_(9.0)
    ema.shadow["b"] = torch.zeros(5)
    with pytest.raises(RuntimeError), ema.applied():
        pytest.fail("the average was not whole")
    assert [weight.tolist() for weight in weights.values()] == [[2.0] * 3] * 2
