from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from lycoris.wrapper import network_module_dict
from torch import nn

from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.adapters.lycoris.settled import by_path, settled
from simpletuner.config.files.lycoris_rules import needs_dense_weight
from simpletuner.core.errors import ConfigError
from simpletuner.precision.linear import QuantisedLinear
from simpletuner.precision.stored import ScaledWeight
from tests.adapters.lycoris.test_adapter import ALIASES, METHODS, name_of, plain


def quantised(*, bias: bool = False) -> QuantisedLinear:
    """A layer of 64 to 64 whose weight is int8 with a scale for each row."""
    torch.manual_seed(0)
    weight = torch.randn(64, 64)
    scale = weight.abs().amax(dim=1) / 127
    stored = ScaledWeight(weight, (weight / scale[:, None]).round().to(torch.int8), scale)
    return QuantisedLinear(stored, torch.ones(64) if bias else None)


@pytest.mark.parametrize(
    ("settings", "bias", "branch"),
    [
        ({"algo": "ia3"}, False, True),
        ({"algo": "ia3"}, True, False),
        ({"algo": "boft"}, True, False),
        ({"algo": "boft", "bypass_mode": True}, True, True),
        ({"algo": "lora"}, True, True),
    ],
)
def test_an_output_method_is_no_branch_over_a_bias(settings: Any, bias: bool, branch: bool) -> None:
    assert settled("x", nn.Linear(4, 4, bias=bias), {}, settings)["bypass_mode"] is branch


def test_glora_is_no_branch_over_a_convolution() -> None:
    assert settled("x", nn.Conv2d(4, 4, 2), {}, {"algo": "glora"})["bypass_mode"] is False
    assert settled("x", nn.Linear(4, 4), {}, {"algo": "glora"})["bypass_mode"] is True


def test_what_a_layer_is_told_is_its_own_and_its_method() -> None:
    own = settled("x", nn.Linear(4, 4), {"dim": 2}, {"algo": "lokr", "factor": 8})
    assert own == {"dim": 2, "algo": "lokr", "bypass_mode": True}
    preset = by_path({"target_module": ["Attention"], "enable_conv": False, "exclude_name": ["y"]}, {"x": own})
    assert preset["name_algo_map"] == {"x": own}
    assert (preset["enable_conv"], preset["target_module"], preset["exclude_name"]) == (False, [], [])


@pytest.mark.parametrize("changes", METHODS, ids=name_of)
def test_over_a_quantised_layer_a_method_trains_or_is_refused_with_the_reason(changes: dict[str, Any]) -> None:
    config = plain(**changes, apply_preset={})
    layer = quantised()
    holder = nn.ModuleDict({"to_q": layer})
    if reason := needs_dense_weight(config.raw):
        with pytest.raises(ConfigError, match=reason):
            attach_lycoris(holder, config, ALIASES, seed=0)
        return
    inputs = torch.randn(2, 5, 64, requires_grad=True)
    base = layer(inputs)
    adapter = attach_lycoris(holder, config, ALIASES, seed=0)
    assert torch.allclose(layer(inputs), base, atol=1e-5)
    with torch.no_grad():
        for parameter in adapter.eval().parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    changed = layer(inputs)
    changed.square().sum().backward()
    assert not torch.allclose(changed, base, atol=1e-2)
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()
    dense = nn.Linear(64, 64, bias=False).requires_grad_(requires_grad=False)
    dense.weight.copy_(layer.stored.dense(torch.float32))
    twin = attach_lycoris(nn.ModuleDict({"to_q": dense}), config, ALIASES, seed=1).eval()
    twin.load_tensors({name: tensor.clone() for name, tensor in adapter.tensors().items()})
    assert torch.allclose(dense(inputs), changed, atol=1e-3)


@pytest.mark.parametrize(
    ("algo", "options"),
    [
        ("dylora", {"bypass_mode": True, "block_size": 1}),
        ("dylora", {"bypass_mode": False}),
        ("full", {"bypass_mode": False}),
        ("diag-oft", {"bypass_mode": True}),
        ("diag-oft", {"bypass_mode": False}),
        ("tlora", {"bypass_mode": True}),
        ("lora", {"bypass_mode": False}),
        ("lora", {"weight_decompose": True}),
        ("lokr", {"bypass_mode": False, "rank_dropout": 0.1}),
    ],
)
def test_lycoris_itself_cannot_do_what_is_refused(algo: str, options: dict[str, Any]) -> None:
    """Were it able to, the refusal would be idle."""
    layer = quantised()
    with pytest.raises((RuntimeError, ValueError, TypeError)):
        random.seed(0)
        laid = network_module_dict[algo]("x", layer, 0.5, 32, 4, **options)
        laid.apply_to()
        layer(torch.randn(2, 5, 64))


def test_a_bias_of_a_quantised_layer_refuses_output_methods() -> None:
    with pytest.raises(ConfigError, match="x is quantised, and bypass_mode false with algo ia3"):
        settled("x", quantised(bias=True), {}, {"algo": "ia3"})
