"""Our LoKr against LyCORIS's own, in both its forms: the same parameters, names, numbers and gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lycoris import create_lycoris_from_weights
from lycoris.modules.lokr import LokrModule
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.adapters.lycoris.lokr import LokrBranch
from simpletuner.config.files.lycoris import LycorisConfig, parse_lycoris
from simpletuner.models.omnigen.layers import FACTS
from simpletuner.precision.linear import QuantisedLinear
from simpletuner.precision.quantise import quantise
from simpletuner.precision.stored import ScaledWeight
from tests.models.omnigen.tiny_model import random_omnigen

DOCUMENT = Path("tests/fixtures/document/lycoris_config.json")
ALIASES = FACTS.class_aliases


class OurLokr(LokrBranch, LokrModule):
    """What `adapters/lycoris/adapter.py` makes of the two."""


def document(**changes: object) -> LycorisConfig:
    return parse_lycoris(json.loads(DOCUMENT.read_text()) | changes, DOCUMENT)


def a_layer(in_features: int, out_features: int, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(in_features, out_features, bias=bias).requires_grad_(requires_grad=False)
    layer.weight.mul_(0.5)
    return layer


def randomise(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.2)


def trio(layer: nn.Linear, multiplier: float = 1.0, **options: Any) -> list[LokrModule]:
    """Ours, and LyCORIS's branch and new weight, all with the same random values."""
    ours = OurLokr("one", layer, multiplier, bypass_mode=True, **options)
    randomise(ours)
    theirs = [LokrModule("one", layer, multiplier, bypass_mode=branch, **options) for branch in (True, False)]
    for module in theirs:
        module.load_state_dict(ours.state_dict())
    return [ours, *theirs]


def results(module: LokrModule, inputs: Tensor) -> dict[str, Tensor]:
    """The output and every gradient, with the module laid over its layer as it is in training."""
    inputs = inputs.detach().clone().requires_grad_()
    module.apply_to()
    output = module.org_module[0](inputs)
    module.restore()
    (output * torch.sin(torch.arange(output.numel())).view(output.shape)).sum().backward()
    assert inputs.grad is not None
    return {"output": output.detach(), "inputs": inputs.grad} | {
        name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None
    }


def close(found: dict[str, Tensor], expected: dict[str, Tensor], within: float) -> None:
    assert set(found) == set(expected)
    for name, tensor in found.items():
        assert (tensor - expected[name]).abs().max() <= within * expected[name].abs().max(), name


@given(
    in_features=st.sampled_from([16, 24, 36, 64]),
    out_features=st.sampled_from([12, 32, 48, 60]),
    factor=st.sampled_from([-1, 2, 4, 5, 8]),
    rank=st.sampled_from([1, 2, 3, 1000]),
    alpha=st.sampled_from([1.0, 4.0]),
    multiplier=st.sampled_from([1.0, 0.5]),
    switches=st.fixed_dictionaries(
        {name: st.booleans() for name in ("decompose_both", "unbalanced_factorization", "full_matrix")}
    ),
    bias=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_the_numbers_are_those_of_lycoris(
    in_features: int,
    out_features: int,
    factor: int,
    rank: int,
    alpha: float,
    multiplier: float,
    switches: dict[str, bool],
    bias: bool,
) -> None:
    torch.manual_seed(0)
    layer = a_layer(in_features, out_features, bias)
    ours, *theirs = trio(layer, multiplier, lora_dim=rank, alpha=alpha, factor=factor, **switches)
    assert ours.plan is not None
    inputs = torch.randn(3, 7, in_features)
    found = results(ours, inputs)
    assert len(found) == 2 + len(list(ours.parameters()))
    for module in theirs:
        assert list(ours.state_dict()) == list(module.state_dict())
        close(found, results(module, inputs), 1e-5)


@pytest.mark.parametrize(
    ("out_features", "in_features", "factor", "rank"), [(512, 512, 16, 1000), (2048, 384, 8, 16), (384, 1024, 8, 100)]
)
def test_larger_layers(out_features: int, in_features: int, factor: int, rank: int) -> None:
    torch.manual_seed(0)
    ours, *theirs = trio(a_layer(in_features, out_features), lora_dim=rank, factor=factor)
    inputs = torch.randn(600, in_features)
    found = results(ours, inputs)
    for module in theirs:
        close(found, results(module, inputs), 1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"bypass_mode": False},
        {"bypass_mode": True, "dropout": 0.1},
        {"bypass_mode": True, "rank_dropout": 0.1},
        {"bypass_mode": True, "module_dropout": 0.1},
        {"bypass_mode": True, "weight_decompose": True},
        {"bypass_mode": True, "use_scalar": True},
    ],
)
def test_what_is_not_that_function_stays_lycoriss(options: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    layer = a_layer(16, 12)
    ours, theirs = (kind("one", layer, lora_dim=1000, **options) for kind in (OurLokr, LokrModule))
    capsys.readouterr()
    randomise(ours)
    for own, parameter in zip(theirs.parameters(), ours.parameters(), strict=True):
        own.data.copy_(parameter)
    assert ours.plan is None
    inputs = torch.randn(3, 16)
    found = []
    for module in (ours, theirs):
        torch.manual_seed(1)
        found.append(results(module, inputs))
    close(found[0], found[1], 1e-6)


def test_a_convolution_stays_lycoriss() -> None:
    layer = nn.Conv2d(4, 8, 3).requires_grad_(requires_grad=False)
    module = OurLokr("one", layer, lora_dim=1000, bypass_mode=True)
    assert module.plan is None
    assert module(torch.randn(1, 4, 5, 5)).shape == (1, 8, 3, 3)


def test_a_base_that_is_trained_too_keeps_its_gradient() -> None:
    torch.manual_seed(0)
    layer = a_layer(16, 12)
    ours = OurLokr("one", layer, lora_dim=1000, bypass_mode=True)
    randomise(ours)
    ours.apply_to()
    inputs = torch.randn(3, 16)
    frozen = layer(inputs)
    layer.weight.requires_grad_()
    trained = layer(inputs)
    trained.sum().backward()
    assert torch.allclose(trained, frozen, atol=1e-6)
    assert torch.allclose(layer.weight.grad, inputs.sum(0).expand(12, 16))


def test_two_adapters_over_one_layer_both_count() -> None:
    torch.manual_seed(0)
    layer, inputs = a_layer(16, 12), torch.randn(3, 16)
    base = layer(inputs)
    modules = [OurLokr(name, layer, lora_dim=1000, bypass_mode=True) for name in ("one", "other")]
    alone = []
    for module in modules:
        randomise(module)
        module.apply_to()
        alone.append(layer(inputs) - base)
        module.restore()
    for module in modules:
        module.apply_to()
    assert torch.allclose(layer(inputs), base + sum(alone), atol=1e-5)
    modules[0].restore()
    assert torch.allclose(layer(inputs), base + alone[1], atol=1e-5)


def test_over_a_layer_of_few_bits() -> None:
    torch.manual_seed(0)
    layer = a_layer(16, 12)
    values, scale = torch.randint(-8, 9, (12, 16), dtype=torch.int8), torch.full((12, 1), 0.125)
    stored = QuantisedLinear(ScaledWeight(layer.weight, values, scale), layer.bias)
    layer.weight.copy_(values * scale)
    few, dense = (OurLokr("one", one, lora_dim=1000, bypass_mode=True) for one in (stored, layer))
    randomise(few)
    dense.load_state_dict(few.state_dict())
    assert few.plan is not None
    inputs = torch.randn(3, 16)
    close(results(few, inputs), results(dense, inputs), 1e-5)


def test_every_layer_of_the_documents_recipe_is_ours() -> None:
    adapter = attach_lycoris(random_omnigen(), document(), ALIASES, seed=0)
    assert all(layer.plan is not None for layer in adapter.network.loras)
    slow = attach_lycoris(random_omnigen(), document(bypass_mode=False), ALIASES, seed=0)
    assert all(layer.plan is None for layer in slow.network.loras)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_strength_scales_the_branch_and_zero_is_the_base_to_the_bit(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = random_omnigen().to(dtype).requires_grad_(requires_grad=False)
    linear, states = model.layers[0].mlp.gate_up_proj, torch.randn(2, 5, 64, dtype=dtype)
    base = linear(states)
    adapter = attach_lycoris(model, document(), ALIASES, seed=0)
    assert torch.equal(linear(states), base)
    randomise(adapter)
    full = linear(states)
    with adapter.strength(0.0):
        assert torch.equal(linear(states), base)
    with adapter.strength(0.5):
        assert torch.allclose(linear(states).float(), (base + full).float() / 2, rtol=0.02, atol=0.02)
    assert torch.equal(linear(states), full)


@pytest.mark.parametrize("changes", [{}, {"linear_dim": 2, "linear_alpha": 4, "decompose_both": True}])
def test_a_saved_file_gives_the_same_outputs_in_plain_lycoris(changes: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, second = (random_omnigen().requires_grad_(requires_grad=False) for _ in range(2))
    adapter = attach_lycoris(first, document(**changes), ALIASES, seed=0)
    randomise(adapter)
    save_file(adapter.tensors(), tmp_path / "adapter.safetensors")
    with torch.no_grad():
        network, _ = create_lycoris_from_weights(1.0, None, second, load_file(tmp_path / "adapter.safetensors"))
    network.apply_to()
    states = torch.randn(2, 5, 64)
    for name in ("self_attn.to_q", "mlp.gate_up_proj"):
        ours, theirs = (model.get_submodule(f"layers.1.{name}")(states) for model in (first, second))
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
        assert not torch.allclose(ours, random_omnigen().get_submodule(f"layers.1.{name}")(states), atol=1e-2)


# Torch's compiler makes the context of a function in a way that torch warns of.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_a_layer_compiles_and_recomputes() -> None:
    torch.manual_seed(0)
    model = random_omnigen().requires_grad_(requires_grad=False)
    adapter = attach_lycoris(model, document(), ALIASES, seed=0)
    randomise(adapter)
    block, states = model.layers[0].mlp, torch.randn(2, 5, 64, requires_grad=True)
    wanted = [states, *(parameter for layer in adapter.network.loras[4:6] for parameter in layer.parameters())]
    torch.compiler.reset()
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    outputs = [block(states), compiled(states), checkpoint(block, states, use_reentrant=False)]
    plain, *others = (torch.autograd.grad(output.square().sum(), wanted, allow_unused=True) for output in outputs)
    assert sum(gradient is not None for gradient in plain) == 5
    for found in others:
        for one, other in zip(found, plain, strict=True):
            assert (one is None and other is None) or torch.allclose(one, other, atol=1e-5)


# As above.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("preset", ["int8-quanto", "int4-quanto", "int8-torchao", "fp8wo-torchao", "nf4-bnb"])
def test_a_layer_of_few_bits_compiles_as_one_graph(preset: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(a_layer(64, 128))
    quantise(net, ("0",), preset, torch.device("cpu"), "cpu")
    module = OurLokr("one", net[0], bypass_mode=True, full_matrix=True, lora_dim=8, factor=8)
    randomise(module)
    module.apply_to()
    inputs = torch.randn(5, 64)
    torch.compiler.reset()
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)(inputs)
    assert torch.allclose(compiled, net(inputs), atol=1e-5)
