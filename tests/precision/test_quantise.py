"""Every format that runs here: how near the weights, the gradients, the bytes, and whether one can train over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, mse_loss

import simpletuner
from simpletuner.core.batch import Prompt
from simpletuner.core.errors import ConfigError
from simpletuner.core.linears import LinearShape
from simpletuner.models.registry import family
from simpletuner.precision.frozen import frozen_weight
from simpletuner.precision.linear import QuantisedLinear
from simpletuner.precision.presets import PRESETS
from simpletuner.precision.quantise import QuantisedReport, quantise, require_format

TINY = Path(simpletuner.__file__).parent / "models" / "omnigen" / "tiny"
CPU = torch.device("cpu")
# A fixed noise's velocity against the dense model's, relative; the measured value is about two thirds of the bound.
VELOCITY = {
    "int8-quanto": 0.02,
    "int8-torchao": 0.02,
    "int8dq-torchao": 0.04,
    "fp8-quanto": 0.065,
    "fp8wo-torchao": 0.065,
    "fp8-torchao": 0.1,
    "fp8-native": 0.1,
    "int4-quanto": 0.25,
    "nf4-bnb": 0.25,
}


def relative(given: Tensor, wanted: Tensor) -> float:
    return float((given.detach().float() - wanted.float()).norm() / wanted.float().norm())


class Net(nn.Module):
    """Two linears, as a feed-forward has them, and a head that is nobody's business."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.up = nn.Linear(1024, 256, dtype=dtype)
        self.down = nn.Linear(256, 1024, bias=False, dtype=dtype)
        self.head = nn.Linear(1024, 4, dtype=dtype)
        with torch.no_grad():
            self.up.weight.normal_(std=1 / 32)
            self.down.weight.normal_(std=1 / 16)
        self.requires_grad_(requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden: Tensor = self.head(inputs + self.down(nn.functional.silu(self.up(inputs))))
        return hidden


def quantised(preset: str, dtype: torch.dtype = torch.float32) -> tuple[Net, QuantisedReport]:
    net = Net(dtype)
    return net, quantise(net, ("up", "down"), preset, CPU, "cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_error_gradient_and_bytes(preset: str, dtype: torch.dtype) -> None:
    dense = Net(dtype).up
    net, report = quantised(preset, dtype)
    stored = frozen_weight(net.up)
    weight = net.up.stored.dense(torch.float32)
    stated = PRESETS[preset]
    assert 0.8 * stated.error < relative(weight, dense.weight) < stated.error
    inputs = torch.randn(2, 7, 1024).to(dtype).requires_grad_()
    outputs = net.up(inputs)
    exact = linear(inputs.detach().float(), dense.weight.float(), dense.bias.float())
    assert relative(outputs, exact) < stated.error * (1.6 if stated.rounds_inputs else 1.1) + 0.003
    gradient = torch.randn_like(outputs)
    outputs.backward(gradient)
    assert torch.equal(inputs.grad, stored.backward_product(gradient))
    assert relative(inputs.grad, gradient.float() @ weight) < (1e-6 if dtype == torch.float32 else 0.006)
    bits = report.bytes_after * 8 / (2 * 1024 * 256)
    wide_scales = 2 if dtype == torch.float32 else 1
    assert stated.bits <= bits <= stated.bits + stated.extra * wide_scales + 0.1
    assert (report.layers, report.bytes_before) == (2, 2 * 1024 * 256 * dense.weight.element_size())


def test_only_the_named_layers_are_replaced() -> None:
    net, report = quantised("int8-quanto")
    assert (type(net.up), type(net.down), type(net.head)) == (QuantisedLinear, QuantisedLinear, nn.Linear)
    assert torch.equal(net.up.bias, Net(torch.float32).up.bias)
    assert report.preset == "int8-quanto"
    assert not any(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_small_adapter_learns_over_it(preset: str) -> None:
    net, _ = quantised(preset)
    torch.manual_seed(1)
    inputs, wanted = torch.randn(64, 1024), torch.randn(64, 4)
    down = nn.Parameter(torch.randn(4, 1024) / 32)
    up = nn.Parameter(torch.zeros(256, 4))
    net.up.register_forward_hook(lambda layer, given, output: output + given[0] @ down.T @ up.T)
    optimizer = torch.optim.Adam([down, up], lr=0.02)
    losses = []
    for _ in range(12):
        loss = mse_loss(net(inputs), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_one_layer_exists_twice_at_most() -> None:
    dense_left: list[int] = []
    net = nn.Sequential(*(nn.Linear(64, 64) for _ in range(4)))

    def watched() -> Iterator[str]:
        for name in "0123":
            dense_left.append(sum(type(layer) is nn.Linear for layer in net))
            yield name

    quantise(net, watched(), "int8-quanto", CPU, "accelerator")
    assert dense_left == [4, 3, 2, 1]


def test_what_is_no_plain_linear_is_an_error() -> None:
    net, _ = quantised("int8-quanto")
    with pytest.raises(TypeError, match="up is a QuantisedLinear"):
        quantise(net, ("up",), "int8-quanto", CPU, "cpu")


def test_a_device_that_has_no_such_numbers_is_refused_before_anything_is_done() -> None:
    net = Net(torch.float32)
    with pytest.raises(ConfigError, match="fp8-native has no kernel for mps"):
        quantise(net, ("up",), "fp8-native", torch.device("mps"), "cpu")
    assert type(net.up) is nn.Linear


def velocity(denoiser: nn.Module) -> Tensor:
    """The tiny OmniGen's answer to one fixed noise at eight times."""
    omnigen = family("omnigen")
    text = omnigen.load_text(TINY, builtin_negative=False)
    prompts = [Prompt(text.tokenize(words)) for words in ("a red apple", "an umbrella with rain drops")] * 4
    noisy = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return omnigen.predict_velocity(denoiser, noisy, torch.linspace(0.05, 0.95, 8), prompts)


@pytest.fixture(scope="module")
def tiny() -> Callable[[str | None], tuple[nn.Module, tuple[LinearShape, ...]]]:
    def load(preset: str | None) -> tuple[nn.Module, tuple[LinearShape, ...]]:
        denoiser = family("omnigen").load_denoiser(TINY, torch.float32)
        layers = family("omnigen").linears(denoiser)
        if preset:
            quantise(denoiser, (layer.path for layer in layers), preset, CPU, "cpu")
        return denoiser, layers

    return load


@pytest.fixture(scope="module")
def dense_velocity(tiny: Callable[[str | None], tuple[nn.Module, tuple[LinearShape, ...]]]) -> Tensor:
    return velocity(tiny(None)[0])


@pytest.mark.parametrize(("preset", "most"), VELOCITY.items())
def test_the_tiny_omnigen_answers_nearly_as_before(
    tiny: Callable[[str | None], tuple[nn.Module, tuple[LinearShape, ...]]],
    dense_velocity: Tensor,
    preset: str,
    most: float,
) -> None:
    denoiser, layers = tiny(preset)
    assert len(layers) == 6 * 8
    assert sum(isinstance(layer, QuantisedLinear) for layer in denoiser.modules()) == len(layers)
    assert most / 4 < relative(velocity(denoiser), dense_velocity) < most


def test_the_tiny_omnigen_moves_and_is_cast_around_its_stored_weights(
    tiny: Callable[[str | None], tuple[nn.Module, tuple[LinearShape, ...]]], dense_velocity: Tensor
) -> None:
    denoiser, _ = tiny("fp8-quanto")
    before = velocity(denoiser)
    assert torch.equal(velocity(denoiser.to(torch.float32)), before)
    held = denoiser.state_dict()
    assert {type(tensor) for tensor in held.values()} == {Tensor}
    assert sum(tensor.nbytes for name, tensor in held.items() if ".stored." in name) < 1.02 * 6_422_528
    denoiser.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert relative(velocity(denoiser), dense_velocity) < VELOCITY["fp8-quanto"]


def test_a_format_is_refused_before_anything_is_loaded() -> None:
    require_format("fp8-torchao", CPU)
    with pytest.raises(ConfigError, match="nf4-bnb has no kernel for mps"):
        require_format("nf4-bnb", torch.device("mps"))
