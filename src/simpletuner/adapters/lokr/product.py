"""A frozen linear layer and a LoKr over it as one function: ``y = W x + b + s (w1 kron w2) x``, with exact gradients.

The delta ``w1 kron w2`` is as large as W, and neither it nor its gradient is ever formed: with the channels of a token
as a matrix X (in1, in2), the delta's product is ``w1 X w2^T``, and every gradient is a product of that kind, too. They
are added to the base's own results in place. The base has no gradient of its own. Where tokens are many, on a CPU in
fp32, the products with W go through rows of W with the branch's in them, one block at a time (:mod:`.merged`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from simpletuner.adapters.lokr.chain import Part, Totals, add_branch, add_gradients, chain_of, sides, slices
from simpletuner.adapters.lokr.merged import mergeable, merged_gradient, merged_product
from simpletuner.adapters.lokr.plan import Plan, plan
from simpletuner.adapters.lokr.size import LokrShape
from simpletuner.precision.frozen import DenseWeight, FrozenWeight


class FrozenLinear(NamedTuple):
    """W (out, in) and b (out,), which have no gradients. What is added goes into the tensors that W's products give."""

    weight: FrozenWeight
    bias: Tensor | None


class Factors(NamedTuple):
    """w1 (out1, in1) and w2 (out2, in2), each whole or as a product: w1 (out1, rank) times w1_b (rank, in1)."""

    w1: Tensor
    w2: Tensor
    w1_b: Tensor | None = None
    w2_b: Tensor | None = None


def plan_of(factors: Factors) -> Plan:
    """The cheapest way through factors of these shapes."""
    small, large = _shape(factors.w1, factors.w1_b), _shape(factors.w2, factors.w2_b)
    return plan(LokrShape(small, large), None if factors.w2_b is None else len(factors.w2_b))


def _shape(whole: Tensor, second: Tensor | None) -> tuple[int, int]:
    return whole.shape[0], (whole if second is None else second).shape[1]


def lokr_linear(inputs: Tensor, base: FrozenLinear, factors: Factors, chosen: Plan, strength: float) -> Tensor:
    """``inputs`` (..., in) to (..., out) in their type, or in autocast's; ``chosen`` is :func:`plan_of` the factors.

    The factors may be of another type: they are used in that of the inputs, and their gradients come in their own.
    """
    kind = inputs.device.type
    if torch.is_autocast_enabled(kind):
        inputs = inputs.to(torch.get_autocast_dtype(kind))
    w1, w2, w1_b, w2_b = factors
    fixed = _Fixed(base, strength, chosen, into=inputs.requires_grad)
    with torch.autocast(kind, enabled=False):
        w1 = w1 if w1_b is None else w1 @ w1_b
        if w2_b is not None and chosen.multiplied:
            w2, w2_b = w2 @ w2_b, None
        if not torch.compiler.is_compiling():
            inputs = _Kept.apply(inputs, w1, w2, w2_b)  # type: ignore[no-untyped-call]
            fixed = fixed._replace(kept=inputs.grad_fn)
        outputs: Tensor = _LokrLinear.apply(inputs, w1, w2, w2_b, fixed)  # type: ignore[no-untyped-call]
    return outputs


class _Fixed(NamedTuple):
    """What the function is called with beside tensors.

    ``into`` says whether the inputs want a gradient; ``kept`` is the node that saved them and the factors, None where
    the function saves them itself.
    """

    base: FrozenLinear
    strength: float
    plan: Plan
    into: bool
    kept: Any = None


class _Kept(Function):
    """Saves what the backward pass needs before anything is multiplied, and hands the input on.

    A function saves its tensors when it is done. Recomputation under torch.utils.checkpoint stops as soon as all that
    was saved is there again: so the last product of a block, a fifth of it in OmniGen, is not computed again.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, w1: Tensor, w2: Tensor, w2_b: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, w1, w2, w2_b)
        return inputs.view_as(inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        del ctx
        return gradient, None, None, None


class _LokrLinear(Function):
    """The product and its gradients."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, w1: Tensor, w2: Tensor, w2_b: Tensor | None, fixed: _Fixed) -> Tensor:
        if fixed.kept is None:
            ctx.save_for_backward(inputs, w1, w2, w2_b)
        ctx.fixed = fixed
        outputs = _outputs(fixed, _rows(inputs), (w1, w2, w2_b))
        if fixed.base.bias is not None:
            outputs += fixed.base.bias.to(outputs)
        return outputs.view(*inputs.shape[:-1], outputs.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved = (ctx if ctx.fixed.kept is None else ctx.fixed.kept).saved_tensors
        with torch.autocast(gradient.device.type, enabled=False):
            return _gradients(ctx.fixed, saved, gradient, ctx.needs_input_grad[1:4])


def _outputs(fixed: _Fixed, rows: Tensor, factors: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
    """W x and the branch, (tokens, out), without the bias."""
    weight = fixed.base.weight
    chain = chain_of(fixed.plan.forward, rows, fixed.strength, factors)
    if isinstance(weight, DenseWeight) and mergeable(weight, rows, factors, fixed.plan):
        return merged_product(weight, rows, chain.small, factors[1].to(rows))
    outputs = weight.forward_product(rows).contiguous()
    for part in slices(rows, chain):
        add_branch(outputs[part], rows[part], chain)
    return outputs


def _gradients(
    fixed: _Fixed, saved: Sequence[Tensor], gradient: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """The gradient of everything that the function was called with; ``wanted`` tells of the factors."""
    inputs, w1, w2, w2_b = saved
    factors = (w1, w2, w2_b)
    rows, upstream = _rows(inputs), _rows(gradient)
    chain = chain_of(fixed.plan.backward, rows, fixed.strength, factors)
    weight, merged = fixed.base.weight, None
    if fixed.into and isinstance(weight, DenseWeight) and mergeable(weight, rows, factors, fixed.plan):
        merged = merged_gradient(weight, upstream, chain.small, factors[1].to(upstream))
    into = weight.backward_product(upstream).contiguous() if fixed.into and merged is None else None
    sums = [_zeros(factor) if want else None for factor, want in zip(factors, wanted, strict=True)]
    totals = Totals(sums[0], *sides(fixed.plan.backward, sums[1], sums[2]))
    for part in slices(rows, chain):
        add_gradients(Part(rows[part], upstream[part], None if into is None else into[part]), chain, totals)
    if totals.small is not None:
        totals.small.mul_(fixed.strength)
    found = (None if total is None else total.to(factor) for total, factor in zip(sums, factors, strict=True))
    into = into if merged is None else merged
    return (None if into is None else into.view(inputs.shape), *found, None)


def _rows(tensor: Tensor) -> Tensor:
    """(..., channels) to (tokens, channels), one after the other in memory."""
    return tensor.reshape(-1, tensor.shape[-1]).contiguous()


def _zeros(factor: Tensor) -> Tensor:
    return torch.zeros_like(factor, dtype=torch.promote_types(factor.dtype, torch.float32))
