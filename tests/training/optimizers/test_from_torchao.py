"""torchao: packed states, the same numbers without a compiler."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from simpletuner.training.optimizers.from_torchao import is_packed, pack, unpack
from tests.training.optimizers.harness import Trained

CODES = {
    "ao-adamw8bit": torch.uint8,
    "ao-adamw4bit": torch.uint8,
    "ao-adamfp8": torch.float8_e4m3fn,
    "ao-adamwfp8": torch.float8_e4m3fn,
}


def state(trained: Trained, key: str) -> Any:
    return trained.optimizer.state[trained.parameters[key]]["exp_avg_sq"]


@pytest.mark.parametrize(("name", "codes"), CODES.items())
def test_a_packed_state_comes_apart_and_together(name: str, codes: torch.dtype) -> None:
    trained = Trained(name)
    trained.train(2)
    packed = state(trained, "large")
    assert is_packed(packed)
    parts, how = unpack(packed)
    assert parts["codes"].dtype == codes
    again = pack(parts, how)
    assert type(again) is type(packed)
    assert (again.shape, again.dtype) == (packed.shape, packed.dtype)
    assert torch.equal(again.dequantize(), packed.dequantize())
    assert packed.dequantize().max() > 0


def test_small_tensors_are_kept_plain() -> None:
    trained = Trained("ao-adamw8bit")
    trained.train(1)
    assert not any(is_packed(state(trained, key)) for key in ("small", "vector", "scalar"))


def test_it_steps_near_torchs_adamw() -> None:
    packed, plain = Trained("ao-adamw8bit"), Trained("torch-adamw")
    for trained in (packed, plain):
        trained.train(4)
    assert torch.allclose(packed.values()["large"], plain.values()["large"], atol=2e-3)
    assert torch.allclose(packed.values()["small"], plain.values()["small"], atol=1e-6)


def test_bf16_weights_are_rounded_both_ways() -> None:
    trained = Trained("ao-adamw8bit", torch.bfloat16)
    trained.rate = 1e-5
    before = trained.values()["large"]
    trained.train(1)
    moved = trained.values()["large"] != before
    assert 0 < moved.float().mean() < 0.5, "a step far below bf16's own moves some weights, not all and not none"
