from __future__ import annotations

import json

import pytest
import torch

from simpletuner.adapters.export.layers import Leaves
from simpletuner.adapters.export.peft_layout import peft_layout
from simpletuner.core.errors import ConfigError


def lora(rank: int, alpha: float) -> Leaves:
    factors = {"lora_up.weight": torch.zeros(4, rank), "lora_down.weight": torch.zeros(rank, 4)}
    return {**factors, "alpha": torch.tensor(alpha)}


def lokr(factor: int) -> Leaves:
    return {"lokr_w1": torch.zeros(factor, factor), "lokr_w2": torch.zeros(32, 24), "alpha": torch.tensor(1.0)}


def test_most_layers_give_rank_and_alpha_and_the_others_a_pattern() -> None:
    layers = {"a.q": lora(4, 8), "b.q": lora(4, 8), "c.q": lora(2, 1)}
    layout = peft_layout(layers, layers)
    assert (layout.config["r"], layout.config["lora_alpha"]) == (4, 8)
    assert layout.config["rank_pattern"] == {"^c.q": 2}
    assert layout.config["alpha_pattern"] == {"^c.q": 1}
    assert "base_model.model.a.q.lora_A.weight" in layout.for_peft()
    tensors, metadata = layout.for_diffusers()
    assert "transformer.a.q.lora_B.weight" in tensors
    assert json.loads(metadata["lora_adapter_metadata"])["transformer.lora_alpha"] == 8
    assert not any("alpha" in name for name in tensors)


def test_two_whole_factors_are_scaled_by_one() -> None:
    """PEFT would multiply by alpha / r, LyCORIS does not."""
    config = peft_layout({"a": lokr(16)}, ["a"]).config
    assert config["r"] == config["alpha"] == 32
    assert config["decompose_factor"] == 16


def test_what_peft_cannot_hold_is_named() -> None:
    refused = {
        "one factor for all layers, and this adapter has 8 and 16": {"a": lokr(16), "b": lokr(8)},
        "would split a in other factors": {
            "a": {"lokr_w1": torch.zeros(64, 4), "lokr_w2": torch.zeros(4, 64), "alpha": torch.tensor(1.0)}
        },
        "no layer of lokr and lora": {"a": lokr(16), "b": lora(2, 1)},
        "DoRA": {"a": lora(2, 1) | {"dora_scale": torch.ones(4, 1)}},
        "PEFT would adapt x.a too": {"a": lora(2, 1)},
    }
    for reason, layers in refused.items():
        with pytest.raises(ConfigError, match=reason):
            peft_layout(layers, [*layers, "x.a"])
