"""The layer's products through rows of W with the branch's in them, a few at a time: cheapest where tokens are many.

``W + s (w1 kron w2)`` has blocks of rows, one for each row of w1. Adding the branch to a block costs one pass over it,
whatever the number of tokens; then the branch's products are part of the base's. Never more than one block exists.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from simpletuner.adapters.lokr.plan import Plan, merging_pays
from simpletuner.adapters.lokr.size import LokrShape
from simpletuner.precision.frozen import DenseWeight

_EXACT = (torch.float32, torch.float64)
_ROWS = 384
"""Fewest rows of a block where there are more: a product with fewer is slower for each of them."""


def mergeable(weight: DenseWeight, rows: Tensor, factors: tuple[Tensor, Tensor, Tensor | None], plan: Plan) -> bool:
    """Whether to merge for these ``rows`` (tokens, in).

    Not in bf16, where the sum with W would round the branch away; not on a card, where other work hides the branch.
    """
    w1, w2, w2_b = factors
    if w2_b is not None or rows.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    if rows.dtype not in _EXACT or not weight.is_plain(rows.dtype):
        return False
    shape = LokrShape((w1.shape[0], w1.shape[1]), (w2.shape[0], w2.shape[1]))
    return merging_pays(shape, plan.forward, rows.shape[0])


def merged_product(weight: DenseWeight, rows: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """``rows`` (tokens, in) to (tokens, out). ``small`` (out1, in1) has the strength in it, ``large``: (out2, in2)."""
    outputs = rows.new_empty(rows.shape[0], small.shape[0] * large.shape[0])
    for columns, block in _blocks(weight, small, large):
        torch.mm(rows, block.T, out=outputs[:, columns])
    return outputs


def merged_gradient(weight: DenseWeight, upstream: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """The gradient (tokens, in) of the inputs from that of the outputs, ``upstream`` (tokens, out)."""
    into = upstream.new_zeros(upstream.shape[0], small.shape[1] * large.shape[1])
    for columns, block in _blocks(weight, small, large):
        into.addmm_(upstream[:, columns], block)
    return into


def _blocks(weight: DenseWeight, small: Tensor, large: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of W with the branch's in them, (rows, in), and which of the outputs they are; in the same memory."""
    (out1, in1), (out2, in2) = small.shape, large.shape
    whole = weight.rows().view(out1, out2, in1, in2)
    step = min(out1, -(-_ROWS // out2))
    space = large.new_empty(step, out2, in1, in2)
    for start in range(0, out1, step):
        part = small[start : start + step]
        block = space[: len(part)]
        torch.addcmul(whole[start : start + step], part[:, None, :, None], large[None, :, None, :], out=block)
        yield slice(start * out2, (start + len(part)) * out2), block.view(-1, in1 * in2)
