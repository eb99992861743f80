"""The branch of a LoKr and its gradients, added to what the frozen layer gives, a slice of tokens at a time.

With the channels of a token as a matrix X (in1, in2), the branch is ``small`` X with the large factor left or right of
it, see :mod:`.plan`. :func:`add_branch` and :func:`add_gradients` are plain torch on every device. On a card they
are where a fused kernel would stand: they compute little beside the frozen layer's products, but read and write the
same numbers several times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from simpletuner.adapters.lokr.plan import Order

SLICE_NUMBERS = 1 << 19
"""Most numbers of a temporary for each thread of a CPU: a slice of tokens is done with while it is in the cache."""
SLICE_TOKENS = 256
"""Most tokens of a slice for each thread: below 128 kB the allocator hands out the same warm memory again."""


class Chain(NamedTuple):
    """The branch in one order: X times ``right`` transposed, ``small`` times that, and that times ``left`` transposed.

    ``left`` (out2, width) or ``right`` (width, in2) may be missing; ``small`` (out1, in1) has the strength in it.
    """

    small: Tensor
    left: Tensor | None
    right: Tensor | None

    @property
    def width(self) -> int:
        """Columns of what ``small`` is multiplied with."""
        if self.left is not None:
            return self.left.shape[1]
        assert self.right is not None
        return len(self.right)


class Totals(NamedTuple):
    """Gradients of a chain's parts, summed in fp32 or better; None where nobody wants one."""

    small: Tensor | None
    left: Tensor | None
    right: Tensor | None


class Part(NamedTuple):
    """A slice of tokens: inputs (n, in), gradient of the outputs (n, out), gradient of the inputs (n, in) if wanted."""

    rows: Tensor
    upstream: Tensor
    into: Tensor | None


def chain_of(order: Order, rows: Tensor, strength: float, factors: Sequence[Tensor | None]) -> Chain:
    """The factors w1, w2, w2_b in their places, in the type and on the device of ``rows``."""
    w1, w2, w2_b = factors
    assert w1 is not None
    left, right = sides(order, w2, w2_b)
    wide = w1.to(torch.promote_types(w1.dtype, torch.float32))
    return Chain(
        (wide * strength).to(rows),
        None if left is None else left.to(rows),
        None if right is None else right.to(rows),
    )


def sides(order: Order, w2: Tensor | None, w2_b: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """What stands left and right of the small factor."""
    return (None, w2) if order is Order.LARGE_FIRST else (w2, w2_b)


def slices(rows: Tensor, chain: Chain) -> Iterator[slice]:
    """Tokens in turn: few at a time on a CPU, all at once on a card, whose kernels are better the larger they are."""
    count = rows.shape[0]
    step = max(1, count)
    if rows.device.type == "cpu" and not torch.compiler.is_compiling():
        tokens = min(SLICE_TOKENS, SLICE_NUMBERS // (max(chain.small.shape) * chain.width))
        step = max(1, tokens * torch.get_num_threads())
    for start in range(0, count, step):
        yield slice(start, start + step)


def add_branch(outputs: Tensor, rows: Tensor, chain: Chain) -> None:
    """Add the branch of ``rows`` (n, in) to ``outputs`` (n, out)."""
    before = _before(rows, chain)
    if chain.left is None:
        outputs.view(rows.shape[0], chain.small.shape[0], -1).baddbmm_(_repeated(chain.small, rows), before)
        return
    after = torch.bmm(_repeated(chain.small, rows), before).flatten(0, 1)
    outputs.view(after.shape[0], -1).addmm_(after, chain.left.T)


def _before(rows: Tensor, chain: Chain) -> Tensor:
    """What ``small`` is multiplied with: (n, in1, width)."""
    groups = chain.small.shape[1]
    if chain.right is None:
        return rows.view(rows.shape[0], groups, -1)
    return (rows.view(rows.shape[0] * groups, -1) @ chain.right.T).view(rows.shape[0], groups, -1)


def _repeated(small: Tensor, rows: Tensor) -> Tensor:
    """``small`` once for each token, without a copy."""
    return small.expand(rows.shape[0], -1, -1)


def add_gradients(part: Part, chain: Chain, totals: Totals) -> None:
    """Add the branch's gradients of some tokens, to ``totals`` and to the base's gradient of the inputs."""
    before = _before(part.rows, chain)
    inner = _inner_gradient(part, before, chain, totals.left)
    if totals.small is not None:
        totals.small.add_(torch.bmm(inner, before.mT).sum(0, dtype=totals.small.dtype))
    if chain.right is None:
        if part.into is not None:
            part.into.view(before.shape).baddbmm_(_repeated(chain.small.T, part.rows), inner)
        return
    outer = torch.bmm(_repeated(chain.small.T, part.rows), inner).flatten(0, 1)
    if totals.right is not None:
        _add_product(totals.right, outer.T, part.rows.view(outer.shape[0], -1))
    if part.into is not None:
        part.into.view(outer.shape[0], -1).addmm_(outer, chain.right)


def _inner_gradient(part: Part, before: Tensor, chain: Chain, total: Tensor | None) -> Tensor:
    """The gradient (n, out1, width) of ``small`` times ``before``; that of ``left`` is added to ``total``."""
    tokens, groups = part.rows.shape[0], chain.small.shape[0]
    if chain.left is None:
        return part.upstream.view(tokens, groups, -1)
    grouped = part.upstream.view(tokens * groups, -1)
    if total is not None:
        after = torch.bmm(_repeated(chain.small, part.rows), before).flatten(0, 1)
        _add_product(total, grouped.T, after)
    return (grouped @ chain.left).view(tokens, groups, -1)


def _add_product(total: Tensor, one: Tensor, other: Tensor) -> None:
    """``total`` plus ``one @ other``, which may be in a smaller type."""
    if total.dtype == one.dtype:
        total.addmm_(one, other)
    else:
        total.add_(one @ other)
