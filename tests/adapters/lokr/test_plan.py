"""The counted cost is that of the products that are done, and no plan is cheaper than the one chosen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.adapters.lokr.plan import Cost, Order, Plan, backward_cost, forward_cost, merging_pays, plan
from simpletuner.adapters.lokr.size import LokrShape, lokr_shape

SIDES = st.integers(1, 600)
SHAPES = st.builds(LokrShape, w1=st.tuples(SIDES, SIDES), w2=st.tuples(SIDES, SIDES))
WHOLE = (Order.SMALL_FIRST, Order.LARGE_FIRST)


def weight(shape: LokrShape, forward: Order, backward: Order, rank: int = 0) -> int:
    return forward_cost(shape, forward, rank).weight + backward_cost(shape, backward, rank).weight


def test_forward_products_by_hand() -> None:
    shape = LokrShape(w1=(2, 3), w2=(5, 7))
    small_first = Cost(2 * 3 * 7 + 2 * 7 * 5, (3 * 7 + 2 * 7) + (2 * 7 + 2 * 5) + 2 * 5)
    large_first = Cost(3 * 7 * 5 + 2 * 3 * 5, (3 * 7 + 3 * 5) + (3 * 5 + 2 * 5) + 2 * 5)
    between = Cost(3 * 7 * 4 + 2 * 3 * 4 + 2 * 4 * 5, (3 * 7 + 3 * 4) + (3 * 4 + 2 * 4) + (2 * 4 + 2 * 5) + 2 * 5)
    assert forward_cost(shape, Order.SMALL_FIRST) == small_first
    assert forward_cost(shape, Order.LARGE_FIRST) == large_first
    assert forward_cost(shape, Order.BETWEEN, rank=4) == between


def test_backward_multiply_adds_by_hand() -> None:
    shape = LokrShape(w1=(2, 3), w2=(5, 7))
    # The gradient through w2 and that of w2, and three products with w1.
    assert backward_cost(shape, Order.SMALL_FIRST).multiply_adds == 2 * (2 * 5 * 7) + 3 * (2 * 3 * 7)
    # X w2^T again, its gradient's two products, and three with w1.
    assert backward_cost(shape, Order.LARGE_FIRST).multiply_adds == 3 * (3 * 5 * 7) + 3 * (2 * 3 * 5)
    both = 3 * (3 * 4 * 7) + 2 * (2 * 5 * 4) + 4 * (2 * 3 * 4)
    assert backward_cost(shape, Order.BETWEEN, rank=4).multiply_adds == both


@pytest.mark.parametrize(
    ("out_features", "in_features", "factor", "forward"),
    [
        (3072, 3072, 16, Order.SMALL_FIRST),
        (16384, 3072, 8, Order.SMALL_FIRST),
        (3072, 8192, 8, Order.LARGE_FIRST),
    ],
)
def test_the_documents_layers(out_features: int, in_features: int, factor: int, forward: Order) -> None:
    assert plan(lokr_shape(out_features, in_features, factor)) == Plan(forward, Order.SMALL_FIRST)


def test_a_small_factor_that_is_tall_is_multiplied_last() -> None:
    assert plan(LokrShape(w1=(384, 8), w2=(8, 384))) == Plan(Order.LARGE_FIRST, Order.LARGE_FIRST)


def test_a_low_rank_stays_in_two_parts_and_a_high_one_does_not() -> None:
    shape = lokr_shape(16384, 3072, 8)
    assert plan(shape, rank=16) == Plan(Order.BETWEEN, Order.BETWEEN)
    assert plan(shape, rank=1000) == Plan(Order.SMALL_FIRST, Order.SMALL_FIRST, multiplied=True)


@given(SHAPES)
def test_no_pair_of_orders_is_cheaper(shape: LokrShape) -> None:
    chosen = plan(shape)
    cheapest = min(weight(shape, forward, backward) for forward in WHOLE for backward in WHOLE)
    assert not chosen.multiplied
    assert weight(shape, chosen.forward, chosen.backward) == cheapest


@given(SHAPES, st.integers(1, 300))
def test_two_parts_are_multiplied_only_when_that_is_cheaper(shape: LokrShape, rank: int) -> None:
    chosen, whole = plan(shape, rank), plan(shape)
    parts = weight(shape, Order.BETWEEN, Order.BETWEEN, rank)
    if chosen.multiplied:
        assert (chosen.forward, chosen.backward) == (whole.forward, whole.backward)
        assert weight(shape, chosen.forward, chosen.backward) < parts
    else:
        assert chosen == Plan(Order.BETWEEN, Order.BETWEEN)
        assert parts <= weight(shape, whole.forward, whole.backward)


@given(SHAPES, st.sampled_from(WHOLE))
def test_merging_pays_from_some_number_of_tokens_on(shape: LokrShape, order: Order) -> None:
    merged, branch = Cost(moved=2 * shape.w1[0] * shape.w1[1] * shape.w2[0] * shape.w2[1]), forward_cost(shape, order)
    enough = max(512, merged.weight // branch.weight + 1)
    assert merging_pays(shape, order, enough)
    assert not merging_pays(shape, order, enough - 1)
    assert not merging_pays(shape, order, 0)


def test_merging_pays_for_one_picture_of_the_document_and_not_for_the_tiny_world() -> None:
    down, attention = lokr_shape(3072, 8192, 8), lokr_shape(3072, 3072, 16)
    for shape in (down, attention):
        assert merging_pays(shape, plan(shape).forward, 1100)
        assert not merging_pays(shape, plan(shape).forward, 200)
