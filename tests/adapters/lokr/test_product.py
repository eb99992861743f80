"""One function for layer and LoKr: the numbers of the whole delta, without the delta."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import linear
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from simpletuner.adapters.lokr.plan import Order, Plan
from simpletuner.adapters.lokr.product import Factors, FrozenLinear, lokr_linear, plan_of
from simpletuner.precision.frozen import DenseWeight

WHOLE = (Order.SMALL_FIRST, Order.LARGE_FIRST)
PLANS = [Plan(one, other) for one in WHOLE for other in WHOLE]
PARTED = [Plan(Order.BETWEEN, Order.BETWEEN), *(Plan(one, one, multiplied=True) for one in WHOLE)]


def frozen(layer: nn.Linear) -> FrozenLinear:
    return FrozenLinear(DenseWeight(layer), layer.bias)


def a_layer(in_features: int, out_features: int, dtype: torch.dtype = torch.float32, bias: bool = True) -> nn.Linear:
    return nn.Linear(in_features, out_features, bias=bias, dtype=dtype).requires_grad_(requires_grad=False)


def some_factors(
    w1: tuple[int, int],
    w2: tuple[int, int],
    ranks: tuple[int, int] = (0, 0),
    dtype: torch.dtype = torch.float32,
) -> Factors:
    """Factors of these shapes; a rank that is not 0 makes one a product."""

    def one(shape: tuple[int, int], rank: int) -> list[Tensor | None]:
        parts = [shape] if rank == 0 else [(shape[0], rank), (rank, shape[1])]
        return [*(torch.randn(part, dtype=dtype, requires_grad=True) for part in parts), None][:2]

    (first, first_b), (second, second_b) = one(w1, ranks[0]), one(w2, ranks[1])
    assert first is not None
    assert second is not None
    return Factors(first, second, first_b, second_b)


def leaves(factors: Factors) -> list[Tensor]:
    return [factor for factor in factors if factor is not None]


def by_delta(inputs: Tensor, layer: nn.Linear, factors: Factors, strength: float) -> Tensor:
    """What the function means, with the whole delta."""
    w1 = factors.w1 if factors.w1_b is None else factors.w1 @ factors.w1_b
    w2 = factors.w2 if factors.w2_b is None else factors.w2 @ factors.w2_b
    return layer(inputs) + linear(inputs, strength * torch.kron(w1, w2))


def by_function(inputs: Tensor, layer: nn.Linear, factors: Factors, strength: float) -> Tensor:
    return lokr_linear(inputs, frozen(layer), factors, plan_of(factors), strength)


def gradients(output: Tensor, wanted: list[Tensor]) -> list[Tensor]:
    upstream = torch.sin(torch.arange(output.numel(), dtype=torch.float32)).view(output.shape)
    return list(torch.autograd.grad(output, wanted, upstream.to(output.dtype)))


def distance(found: Tensor, expected: Tensor) -> float:
    """The largest difference in parts of the largest value."""
    found, expected = found.detach().double(), expected.detach().double()
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-6))


def same(inputs: Tensor, layer: nn.Linear, factors: Factors, strength: float = 1.0, within: float = 1e-5) -> None:
    """The function's output and gradients are those of the delta."""
    wanted = [*([inputs] if inputs.requires_grad else []), *leaves(factors)]
    outputs = [compute(inputs, layer, factors, strength) for compute in (by_function, by_delta)]
    assert distance(*outputs) < within
    for found, expected in zip(*(gradients(output, wanted) for output in outputs), strict=True):
        assert found.shape == expected.shape
        assert distance(found, expected) < within


@pytest.mark.parametrize("chosen", PLANS)
def test_gradients_of_every_order_are_exact(chosen: Plan) -> None:
    torch.manual_seed(0)
    layer, factors = a_layer(12, 20, torch.float64), some_factors((4, 3), (5, 4), dtype=torch.float64)
    inputs = torch.randn(2, 3, 12, dtype=torch.float64, requires_grad=True)
    base = frozen(layer)

    def function(inputs: Tensor, w1: Tensor, w2: Tensor) -> Tensor:
        return lokr_linear(inputs, base, Factors(w1, w2), chosen, 0.7)

    assert torch.allclose(function(inputs, factors.w1, factors.w2), by_delta(inputs, layer, factors, 0.7))
    assert gradcheck(function, (inputs, factors.w1, factors.w2))


@pytest.mark.parametrize("chosen", PARTED)
def test_gradients_of_factors_in_two_parts_are_exact(chosen: Plan) -> None:
    torch.manual_seed(0)
    layer, factors = a_layer(12, 20, torch.float64), some_factors((4, 3), (5, 4), (1, 2), torch.float64)
    inputs = torch.randn(4, 12, dtype=torch.float64, requires_grad=True)
    base = frozen(layer)

    def function(inputs: Tensor, *parts: Tensor) -> Tensor:
        return lokr_linear(inputs, base, Factors(*parts), chosen, 0.7)

    parts = leaves(factors)
    assert torch.allclose(function(inputs, *parts), by_delta(inputs, layer, factors, 0.7))
    assert gradcheck(function, (inputs, *parts))


@given(
    w1=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    w2=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    ranks=st.tuples(st.integers(0, 2), st.integers(0, 3)),
    leading=st.lists(st.integers(1, 4), max_size=3),
    bias=st.booleans(),
    strength=st.sampled_from([1.0, 0.25, -2.0]),
    seed=st.integers(0, 9),
)
@settings(deadline=None)
def test_any_shape(
    w1: tuple[int, int],
    w2: tuple[int, int],
    ranks: tuple[int, int],
    leading: list[int],
    bias: bool,
    strength: float,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    # In double precision, because a gradient of one number may cancel to nearly nothing.
    layer = a_layer(w1[1] * w2[1], w1[0] * w2[0], torch.float64, bias=bias)
    inputs = torch.randn(*leading, w1[1] * w2[1], dtype=torch.float64, requires_grad=True)
    same(inputs, layer, some_factors(w1, w2, ranks, torch.float64), strength, within=1e-10)


def test_more_tokens_than_one_slice() -> None:
    torch.manual_seed(0)
    same(torch.randn(2300, 512, requires_grad=True), a_layer(512, 512), some_factors((8, 8), (64, 64)))


def test_no_tokens() -> None:
    inputs = torch.randn(2, 0, 12, requires_grad=True)
    factors = some_factors((4, 3), (5, 4))
    output = by_function(inputs, a_layer(12, 20), factors, 1.0)
    assert output.shape == (2, 0, 20)
    assert all(not gradient.any() for gradient in gradients(output, [inputs, *leaves(factors)]))


def test_inputs_and_gradients_that_do_not_lie_in_order() -> None:
    torch.manual_seed(0)
    layer, factors = a_layer(12, 20), some_factors((4, 3), (5, 4))
    same(torch.randn(12, 5, 2).requires_grad_().transpose(0, 2), layer, factors)
    inputs = torch.randn(3, 12, requires_grad=True)
    found, expected = (
        torch.autograd.grad(compute(inputs, layer, factors, 1.0).sum(), [inputs, *leaves(factors)])
        for compute in (by_function, by_delta)
    )
    assert all(distance(one, other) < 1e-5 for one, other in zip(found, expected, strict=True))


def test_inputs_without_a_gradient() -> None:
    torch.manual_seed(0)
    for ranks in ((0, 0), (0, 2)):
        same(torch.randn(3, 12), a_layer(12, 20), some_factors((4, 3), (5, 4), ranks))


@pytest.mark.parametrize("trained", ["inputs", "w1", "w2", "w1_b", "w2_b"])
@pytest.mark.parametrize("ranks", [(0, 0), (2, 2)])
def test_one_gradient_alone(trained: str, ranks: tuple[int, int]) -> None:
    torch.manual_seed(0)
    factors, inputs = some_factors((4, 3), (5, 4), ranks), torch.randn(6, 12)
    named = {"inputs": inputs, **factors._asdict()}
    if named[trained] is None:
        return
    for name, tensor in named.items():
        if tensor is not None:
            tensor.requires_grad_(name == trained)
    layer = a_layer(12, 20)
    found, expected = (
        gradients(compute(inputs, layer, factors, 0.5), [named[trained]]) for compute in (by_function, by_delta)
    )
    assert distance(found[0], expected[0]) < 1e-5


@pytest.mark.parametrize("inner", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("outer", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("ranks", [(0, 0), (2, 2)])
def test_adapter_and_activations_of_two_types(inner: torch.dtype, outer: torch.dtype, ranks: tuple[int, int]) -> None:
    torch.manual_seed(0)
    factors, layer = some_factors((4, 3), (5, 4), ranks, inner), a_layer(12, 20, outer)
    inputs = torch.randn(3, 7, 12, dtype=outer, requires_grad=True)
    output = by_function(inputs, layer, factors, 1.0)
    assert output.dtype == outer
    wide = Factors(*(None if one is None else one.detach().double().requires_grad_() for one in factors))
    wide_inputs = inputs.detach().double().requires_grad_()
    expected = by_delta(wide_inputs, a_copy(layer), wide, 1.0)
    within = 1e-5 if inner == outer == torch.float32 else 2e-2
    assert distance(output, expected) < within
    wanted = gradients(output, [inputs, *leaves(factors)])
    for found, right in zip(wanted, gradients(expected, [wide_inputs, *leaves(wide)]), strict=True):
        assert distance(found, right) < within
    assert [found.dtype for found in wanted] == [outer, *[inner] * len(leaves(factors))]


def a_copy(layer: nn.Linear) -> nn.Linear:
    """The same numbers in double precision."""
    copy = a_layer(layer.in_features, layer.out_features, torch.float64)
    copy.load_state_dict({name: tensor.double() for name, tensor in layer.state_dict().items()})
    return copy


def test_sums_over_tokens_are_not_rounded_to_bf16_on_the_way() -> None:
    torch.manual_seed(0)
    factors = some_factors((4, 4), (64, 64))
    layer, inputs = a_layer(256, 256, torch.bfloat16), torch.rand(8192, 256).bfloat16()
    output = by_function(inputs, layer, factors, 1.0)
    found = torch.autograd.grad(output, leaves(factors), torch.ones_like(output))
    wide = Factors(*(None if one is None else one.detach().double().requires_grad_() for one in factors))
    expected = by_delta(inputs.double(), a_copy(layer), wide, 1.0)
    right = torch.autograd.grad(expected, leaves(wide), torch.ones_like(expected))
    assert all(distance(one, other) < 4e-3 for one, other in zip(found, right, strict=True))


def test_autocast_decides_the_type_and_a_backward_pass_inside_it_works() -> None:
    torch.manual_seed(0)
    factors, layer = some_factors((4, 3), (5, 4)), a_layer(12, 20)
    inputs = torch.randn(3, 12, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = by_function(inputs, layer, factors, 1.0)
        assert output.dtype == layer(inputs).dtype == torch.bfloat16
        found = gradients(output, [inputs, *leaves(factors)])
    outside = gradients(by_function(inputs.bfloat16(), layer, factors, 1.0), leaves(factors))
    assert all(torch.equal(one, other) for one, other in zip(found[1:], outside, strict=True))
    assert {one.dtype for one in found} == {torch.float32}
    expected = gradients(by_delta(inputs, layer, factors, 1.0), [inputs])
    assert distance(found[0], expected[0]) < 2e-2


def test_recomputed_activations() -> None:
    torch.manual_seed(0)
    layer, factors = a_layer(12, 20), some_factors((4, 3), (5, 4))
    inputs = torch.randn(3, 12, requires_grad=True)

    def block(inputs: Tensor) -> Tensor:
        return by_function(inputs.sin(), layer, factors, 1.0).cos()

    wanted = [inputs, *leaves(factors)]
    found = gradients(checkpoint(block, inputs, use_reentrant=False), wanted)
    assert all(map(torch.equal, found, gradients(block(inputs), wanted)))


class Counting(DenseWeight):
    """Counts its products with inputs."""

    products = 0

    def forward_product(self, inputs: Tensor) -> Tensor:
        self.products += 1
        return super().forward_product(inputs)


def test_recomputation_stops_before_the_last_product() -> None:
    torch.manual_seed(0)
    weights = [Counting(a_layer(12, 12)) for _ in range(3)]
    factors = [some_factors((4, 3), (3, 4)) for _ in range(3)]
    inputs = torch.randn(5, 12, requires_grad=True)

    def block(inputs: Tensor) -> Tensor:
        states = inputs
        for weight, own in zip(weights, factors, strict=True):
            states = lokr_linear(states.sin(), FrozenLinear(weight, None), own, plan_of(own), 1.0)
        return states + inputs

    wanted = [inputs, *(leaf for own in factors for leaf in leaves(own))]
    plain = gradients(block(inputs), wanted)
    again = gradients(checkpoint(block, inputs, use_reentrant=False), wanted)
    assert all(map(torch.equal, again, plain))
    assert [weight.products for weight in weights] == [3, 3, 2]


# Torch's compiler makes the context of a function in a way that torch warns of.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("ranks", [(0, 0), (2, 2)])
def test_it_compiles_as_one_graph(ranks: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer, factors = a_layer(12, 20), some_factors((4, 3), (5, 4), ranks)
    chosen, base = plan_of(factors), frozen(layer)

    def block(inputs: Tensor) -> Tensor:
        return lokr_linear(inputs.sin(), base, factors, chosen, 1.0).cos()

    inputs = torch.randn(2, 5, 12, requires_grad=True)
    wanted = [inputs, *leaves(factors)]
    torch.compiler.reset()
    output = torch.compile(block, backend="aot_eager", fullgraph=True)(inputs)
    assert distance(output, block(inputs)) < 1e-6
    for found, expected in zip(gradients(output, wanted), gradients(block(inputs), wanted), strict=True):
        assert distance(found, expected) < 1e-6


class Largest(TorchDispatchMode):
    """The most numbers that any tensor had which an operation made."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {one.untyped_storage().data_ptr() for one in args if isinstance(one, Tensor)}
        if isinstance(made, Tensor) and made.untyped_storage().data_ptr() not in given:
            self.numbers = max(self.numbers, made.numel())
        return made


@pytest.mark.parametrize("ranks", [(0, 0), (2, 4)])
def test_neither_the_delta_nor_its_gradient_is_formed(ranks: tuple[int, int]) -> None:
    layer, factors = a_layer(64, 96, bias=False), some_factors((4, 4), (24, 16), ranks)
    inputs = torch.randn(5, 64, requires_grad=True)

    def largest(compute: Any) -> int:
        with Largest() as mode:
            compute(inputs, layer, factors, 0.5).sum().backward()
        return mode.numbers

    assert largest(by_function) <= 5 * 96
    assert largest(by_delta) == 64 * 96


@pytest.mark.parametrize("ranks", [(0, 0), (0, 4)])
def test_inputs_and_factors_are_all_that_is_kept(ranks: tuple[int, int]) -> None:
    layer, factors = a_layer(64, 96), some_factors((4, 4), (24, 16), ranks)
    inputs = torch.randn(5, 64, requires_grad=True)
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        by_function(inputs, layer, factors, 1.0)
    addresses = {tensor.data_ptr() for tensor in kept}
    assert addresses == {tensor.data_ptr() for tensor in (inputs, *leaves(factors))}


class Rounded:
    """A weight in eighths, held as integers: no gradient could pass through it by itself."""

    def __init__(self, whole: Tensor) -> None:
        self._eighths = whole

    def forward_product(self, inputs: Tensor) -> Tensor:
        return inputs @ (self._eighths.T.to(inputs.dtype) / 8)

    def backward_product(self, gradient: Tensor) -> Tensor:
        return gradient @ (self._eighths.to(gradient.dtype) / 8)


def test_a_base_in_another_format() -> None:
    torch.manual_seed(0)
    eighths = torch.randint(-8, 9, (20, 12), dtype=torch.int8)
    layer, factors = a_layer(12, 20), some_factors((4, 3), (5, 4))
    layer.weight.copy_(eighths / 8)
    inputs = torch.randn(3, 12, requires_grad=True)
    wanted = [inputs, *leaves(factors)]
    output = lokr_linear(inputs, FrozenLinear(Rounded(eighths), layer.bias), factors, plan_of(factors), 1.0)
    expected = by_delta(inputs, layer, factors, 1.0)
    assert distance(output, expected) < 1e-5
    for found, right in zip(gradients(output, wanted), gradients(expected, wanted), strict=True):
        assert distance(found, right) < 1e-5


def test_a_gradient_of_the_gradient_is_refused() -> None:
    factors, inputs = some_factors((4, 3), (5, 4)), torch.randn(3, 12, requires_grad=True)
    output = by_function(inputs, a_layer(12, 20), factors, 1.0)
    (first,) = torch.autograd.grad(output.square().sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
