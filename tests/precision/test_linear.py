from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from simpletuner.precision.linear import NoValues, QuantisedLinear
from simpletuner.precision.stored import ScaledWeight


def quantised(*, bias: bool = True, dtype: torch.dtype = torch.float32) -> QuantisedLinear:
    torch.manual_seed(0)
    layer = nn.Linear(8, 6, bias=bias, dtype=dtype).requires_grad_(requires_grad=False)
    scale = layer.weight.abs().amax(1).float() / 127
    values = torch.round(layer.weight / scale[:, None]).to(torch.int8)
    return QuantisedLinear(ScaledWeight(layer.weight, values, scale), layer.bias)


def dense(layer: QuantisedLinear) -> Tensor:
    return layer.stored.dense(torch.float32)


@pytest.mark.parametrize("lead", [(1,), (5,), (2, 3), (2, 1, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradient_are_those_of_the_stored_weight(lead: tuple[int, ...], bias: bool) -> None:
    layer = quantised(bias=bias)
    inputs, gradient = torch.randn(*lead, 8, requires_grad=True), torch.randn(*lead, 6)
    outputs = layer(inputs)
    outputs.backward(gradient)
    torch.testing.assert_close(outputs, linear(inputs, dense(layer), layer.bias))
    torch.testing.assert_close(inputs.grad, gradient @ dense(layer))


def test_bf16_in_bf16_out() -> None:
    layer = quantised(dtype=torch.bfloat16)
    inputs = torch.randn(3, 8, dtype=torch.bfloat16, requires_grad=True)
    outputs = layer(inputs)
    outputs.sum().backward()
    assert (outputs.dtype, inputs.grad.dtype) == (torch.bfloat16, torch.bfloat16)
    torch.testing.assert_close(
        outputs.float(), linear(inputs.float(), dense(layer), layer.bias.float()), atol=0.02, rtol=0.02
    )


def test_autocast_decides_the_type_and_the_gradient_keeps_the_inputs() -> None:
    layer = quantised()
    inputs = torch.randn(3, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = layer(inputs)
    outputs.float().sum().backward()
    assert (outputs.dtype, inputs.grad.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(inputs.grad, dense(layer).sum(0).expand(3, 8), atol=0.02, rtol=0.02)


def test_a_recomputed_pass_gives_the_same_gradient() -> None:
    layer = quantised()
    inputs = torch.randn(2, 3, 8, requires_grad=True)
    layer(inputs).square().sum().backward()
    plain, inputs.grad = inputs.grad, None
    checkpoint(layer, inputs, use_reentrant=False).square().sum().backward()
    assert torch.equal(inputs.grad, plain)


def test_nothing_is_kept_for_the_backward_pass() -> None:
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        quantised()(torch.randn(3, 8, requires_grad=True))
    assert kept == []


def test_the_weight_says_what_it_is_and_has_no_values() -> None:
    layer = quantised(dtype=torch.bfloat16)
    weight = layer.weight
    assert isinstance(layer, nn.Linear)
    assert (weight.shape, weight.dtype, weight.device.type) == ((6, 8), torch.bfloat16, "cpu")
    assert not weight.requires_grad
    assert layer.to("meta").weight.device.type == "meta"


@pytest.mark.parametrize(
    "read",
    [
        lambda weight: linear(torch.randn(2, 8), weight),
        lambda weight: weight @ torch.randn(8, 2),
        lambda weight: weight + 1,
        lambda weight: weight.norm(),
        lambda weight: weight.to(torch.bfloat16),
        lambda weight: weight.detach(),
        lambda weight: torch.zeros(6, 8).copy_(weight),
        nn.Parameter,
    ],
)
def test_reading_the_weight_fails(read: object) -> None:
    weight = NoValues(torch.Size((6, 8)), torch.float32, torch.device("cpu"))
    with pytest.raises(RuntimeError, match="use frozen_weight"):
        read(weight)  # type: ignore[operator]


def test_the_weight_cannot_be_set_or_drawn() -> None:
    layer = quantised()
    with pytest.raises(KeyError, match="weight"):
        layer.weight = nn.Parameter(torch.zeros(6, 8))  # type: ignore[misc]
    with pytest.raises(AttributeError, match="weight"):
        layer.weight = torch.zeros(6, 8)  # type: ignore[misc]
    with pytest.raises(TypeError, match="frozen"):
        layer.reset_parameters()


def test_state_dict_and_copies_hold_plain_tensors() -> None:
    layer = quantised()
    assert set(layer.state_dict()) == {"bias", "stored.values", "stored.scale"}
    assert {type(tensor) for tensor in layer.state_dict().values()} == {Tensor}
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    inputs = torch.randn(2, 8)
    assert torch.equal(copy.deepcopy(layer)(inputs), layer(inputs))
    assert repr(layer).startswith("QuantisedLinear(\n  in_features=8, out_features=6, bias=True")


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # what torch's compiler does
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiler_sees_one_graph(backend: str) -> None:
    torch.compiler.reset()
    layer = quantised()
    inputs = torch.randn(3, 8, requires_grad=True)
    layer(inputs).square().sum().backward()
    plain, inputs.grad = inputs.grad, None
    torch.compile(layer, backend=backend, fullgraph=True)(inputs).square().sum().backward()
    torch.testing.assert_close(inputs.grad, plain)
