"""In which order a LoKr branch is multiplied: the cheapest by multiply-adds and memory traffic. No torch here.

With the channels of a token as a matrix X (in1, in2), the branch (w1 kron w2) x is w1 X w2^T. The small factor w1
(out1, in1) costs next to nothing; what counts is on which side of it the large factor w2 (out2, in2) stands. When w2
is a product w2_a (out2, rank) times w2_b (rank, in2), w1 may also stand between the two, or they are multiplied first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from simpletuner.adapters.lokr.size import LokrShape

_MULTIPLY_ADDS_PER_NUMBER = 20
"""What it costs to move one number: 45 G multiply-adds and 2 G numbers a second, measured in fp32 on one core of an
EPYC 9004. On a card moving is dearer still."""

_MANY_TOKENS = 512
"""Below, starting the operations of so many blocks costs as much as they do."""


class Order(Enum):
    """Where the small factor stands among the products of a token's channels."""

    SMALL_FIRST = "small first"
    """w1 X, then w2."""
    LARGE_FIRST = "large first"
    """X w2^T, then w1."""
    BETWEEN = "between"
    """X w2_b^T, then w1, then w2_a."""


@dataclass(frozen=True)
class Plan:
    """The two orders. ``multiplied``: w2_a and w2_b become one matrix first, and the orders are of that."""

    forward: Order
    backward: Order
    multiplied: bool = False


@dataclass(frozen=True)
class Cost:
    """Of one token: multiply-adds, and numbers read or written beside those of the base's own products."""

    multiply_adds: int = 0
    moved: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.multiply_adds + other.multiply_adds, self.moved + other.moved)

    def __mul__(self, tokens: int) -> Cost:
        return Cost(self.multiply_adds * tokens, self.moved * tokens)

    @property
    def weight(self) -> int:
        """Both as one number to compare."""
        return self.multiply_adds + _MULTIPLY_ADDS_PER_NUMBER * self.moved


def plan(shape: LokrShape, rank: int | None = None) -> Plan:
    """The cheapest plan for factors of ``shape``; ``rank`` is that of a large factor in two parts."""
    orders = (Order.SMALL_FIRST, Order.LARGE_FIRST)
    forward = min(orders, key=lambda order: forward_cost(shape, order).weight)
    backward = min(orders, key=lambda order: backward_cost(shape, order).weight)
    if rank is None:
        return Plan(forward, backward)
    whole = forward_cost(shape, forward) + backward_cost(shape, backward)
    parts = forward_cost(shape, Order.BETWEEN, rank) + backward_cost(shape, Order.BETWEEN, rank)
    if whole.weight < parts.weight:
        return Plan(forward, backward, multiplied=True)
    return Plan(Order.BETWEEN, Order.BETWEEN)


def forward_cost(shape: LokrShape, order: Order, rank: int = 0) -> Cost:
    """What the branch adds to the base's forward product."""
    steps = _Steps(shape, order, rank)
    cost = steps.small
    if steps.right:
        cost += steps.before
    if steps.left:
        cost += steps.after
    # The last product is added to the base's, which is read for it.
    return cost + Cost(moved=shape.w1[0] * shape.w2[0])


def backward_cost(shape: LokrShape, order: Order, rank: int = 0) -> Cost:
    """What the gradients of both factors and of the input add to the base's backward product.

    Nothing is kept from the forward pass, so what stands before a factor is multiplied again for its gradient.
    """
    steps = _Steps(shape, order, rank)
    cost = steps.small + steps.small
    if steps.right:
        cost += steps.small + steps.before + steps.before + steps.before
    if steps.left:
        cost += steps.small + steps.after + steps.after
    return cost + Cost(moved=shape.w1[1] * shape.w2[1])


def merging_pays(shape: LokrShape, order: Order, tokens: int) -> bool:
    """Whether adding the branch to the base's weight, written and read once more, is cheaper than multiplying by it."""
    (out_small, in_small), (out_large, in_large) = shape.w1, shape.w2
    merging = Cost(moved=2 * out_small * out_large * in_small * in_large)
    return tokens >= _MANY_TOKENS and merging.weight < tokens * forward_cost(shape, order).weight


@dataclass(frozen=True)
class _Steps:
    """The products of one order: with the small factor, and with what stands before and after it."""

    shape: LokrShape
    order: Order
    rank: int

    @property
    def right(self) -> bool:
        return self.order is not Order.SMALL_FIRST

    @property
    def left(self) -> bool:
        return self.order is not Order.LARGE_FIRST

    @property
    def width(self) -> int:
        """Columns of what the small factor is multiplied with."""
        out_large, in_large = self.shape.w2
        return {Order.SMALL_FIRST: in_large, Order.LARGE_FIRST: out_large, Order.BETWEEN: self.rank}[self.order]

    @property
    def small(self) -> Cost:
        out_small, in_small = self.shape.w1
        return Cost(out_small * in_small * self.width, (out_small + in_small) * self.width)

    @property
    def before(self) -> Cost:
        return self._product(self.shape.w1[1], self.shape.w2[1])

    @property
    def after(self) -> Cost:
        return self._product(self.shape.w1[0], self.shape.w2[0])

    def _product(self, rows: int, columns: int) -> Cost:
        return Cost(rows * columns * self.width, rows * (columns + self.width))
