"""The forward product through rows of the weight with the branch in them: the same numbers, never more than a block."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from simpletuner.adapters.lokr.merged import mergeable, merged_gradient, merged_product
from simpletuner.adapters.lokr.plan import Plan
from simpletuner.adapters.lokr.product import Factors, plan_of
from simpletuner.precision.frozen import DenseWeight
from tests.adapters.lokr.test_product import Largest, a_layer, by_delta, by_function, same, some_factors

MANY, FEW = 4000, 4
"""Tokens with which merging pays, or not, for a layer of 96 to 64 with factors of 4."""


def asked(layer: nn.Linear, factors: Factors, tokens: int = MANY) -> bool:
    rows = torch.empty(tokens, layer.in_features, dtype=layer.weight.dtype, device=layer.weight.device)
    return mergeable(DenseWeight(layer), rows, (factors.w1, factors.w2, factors.w2_b), plan_of(factors))


@given(
    w1=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    w2=st.tuples(st.one_of(st.integers(1, 9), st.integers(100, 500)), st.integers(1, 9)),
    tokens=st.integers(0, 5),
    seed=st.integers(0, 9),
)
@settings(deadline=None)
def test_any_shape(w1: tuple[int, int], w2: tuple[int, int], tokens: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = a_layer(w1[1] * w2[1], w1[0] * w2[0], torch.float64, bias=False)
    small, large = torch.randn(w1, dtype=torch.float64), torch.randn(w2, dtype=torch.float64)
    before = layer.weight.clone()
    rows = torch.randn(tokens, layer.in_features, dtype=torch.float64)
    found = merged_product(DenseWeight(layer), rows, small, large)
    assert torch.allclose(found, by_delta(rows, layer, Factors(small, large), 1.0), rtol=1e-10, atol=1e-10)
    upstream = torch.randn(tokens, layer.out_features, dtype=torch.float64)
    into = merged_gradient(DenseWeight(layer), upstream, small, large)
    assert torch.allclose(into, upstream @ (layer.weight + torch.kron(small, large)), rtol=1e-10, atol=1e-10)
    assert torch.equal(layer.weight, before)


def test_many_tokens_go_through_it_and_their_output_and_gradients_are_those_of_the_delta() -> None:
    torch.manual_seed(0)
    layer, factors = a_layer(96, 64), some_factors((4, 4), (16, 24))
    assert asked(layer, factors)
    same(torch.randn(2, MANY // 2, 96, requires_grad=True), layer, factors, 0.25)


def test_a_branch_that_is_zero_leaves_what_the_layer_gives() -> None:
    torch.manual_seed(0)
    layer, factors = a_layer(96, 64), some_factors((4, 4), (16, 24))
    inputs = torch.randn(MANY, 96)
    zero = Factors(factors.w1, torch.zeros_like(factors.w2))
    assert torch.allclose(by_function(inputs, layer, zero, 1.0), layer(inputs), rtol=1e-6, atol=1e-6)


def bf16() -> tuple[nn.Linear, Factors]:
    return a_layer(96, 64, torch.bfloat16), some_factors((4, 4), (16, 24))


def in_two_parts() -> tuple[nn.Linear, Factors]:
    return a_layer(96, 64), some_factors((4, 4), (16, 24), (0, 2))


def columns_in_order() -> tuple[nn.Linear, Factors]:
    layer = a_layer(96, 64)
    layer.weight = nn.Parameter(torch.randn(96, 64).T, requires_grad=False)
    return layer, some_factors((4, 4), (16, 24))


@pytest.mark.parametrize("made", [bf16, in_two_parts, columns_in_order])
def test_what_it_is_not_for(made: object) -> None:
    assert callable(made)
    assert not asked(*made())


def test_few_tokens_are_multiplied_by_the_branch() -> None:
    assert not asked(a_layer(96, 64), some_factors((4, 4), (16, 24)), FEW)


def test_another_type_than_the_weights_is_not_merged() -> None:
    layer, factors = a_layer(96, 64), some_factors((4, 4), (16, 24))
    plan: Plan = plan_of(factors)
    rows: Tensor = torch.empty(MANY, 96, dtype=torch.float64)
    assert not mergeable(DenseWeight(layer), rows, (factors.w1, factors.w2, None), plan)


def test_never_more_than_a_block_of_the_weight_is_formed() -> None:
    layer, factors = a_layer(2000, 1600, bias=False), some_factors((4, 4), (400, 500))
    assert asked(layer, factors, 600)
    with Largest() as mode:
        by_function(torch.randn(600, 2000), layer, factors, 1.0)
    assert mode.numbers <= 2000 * 1600 // 4 + 600 * 2000
