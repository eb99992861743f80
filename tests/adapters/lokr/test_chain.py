"""The branch is added to what is there, in slices that miss no token."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from simpletuner.adapters.lokr.chain import (
    SLICE_NUMBERS,
    SLICE_TOKENS,
    Chain,
    Part,
    Totals,
    add_branch,
    add_gradients,
    chain_of,
    sides,
    slices,
)
from simpletuner.adapters.lokr.plan import Order

WHOLE = (Order.SMALL_FIRST, Order.LARGE_FIRST)


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def chains(strength: float = 0.5) -> tuple[Tensor, Tensor, list[Chain]]:
    """Factors (4, 3) and (5, 7), and their chain in both orders."""
    w1, w2 = double(4, 3), double(5, 7)
    return w1, w2, [chain_of(order, w2, strength, (w1, w2, None)) for order in WHOLE]


def test_the_strength_is_in_the_small_factor_before_it_is_rounded() -> None:
    w1, w2 = torch.tensor([[1.01]]), torch.ones(2, 3)
    rows = torch.ones(1, 3, dtype=torch.bfloat16)
    chain = chain_of(Order.SMALL_FIRST, rows, 1.01, (w1, w2, None))
    assert torch.equal(chain.small, torch.tensor([[1.01 * 1.01]]).bfloat16())
    assert not torch.equal(chain.small, w1.bfloat16() * 1.01)
    assert chain.left is not None
    assert (chain.left.dtype, chain.right) == (torch.bfloat16, None)


def test_sides() -> None:
    whole, second = torch.ones(1), torch.ones(2)
    assert sides(Order.SMALL_FIRST, whole, None) == (whole, None)
    assert sides(Order.LARGE_FIRST, whole, None) == (None, whole)
    assert sides(Order.BETWEEN, whole, second) == (whole, second)


def test_the_branch_joins_what_is_there() -> None:
    torch.manual_seed(0)
    w1, w2, both = chains()
    rows, there = double(6, 21), double(6, 20)
    for chain in both:
        outputs = there.clone()
        add_branch(outputs, rows, chain)
        assert torch.allclose(outputs, there + 0.5 * rows @ torch.kron(w1, w2).T)


def test_gradients_join_what_is_there() -> None:
    torch.manual_seed(0)
    w1, w2, both = chains()
    rows, upstream, there = double(6, 21), double(6, 20), double(6, 21)
    w1.requires_grad_()
    w2.requires_grad_()
    expected = torch.autograd.grad(rows @ (0.5 * torch.kron(w1, w2)).T, (w1, w2), upstream)
    for order, chain in zip(WHOLE, both, strict=True):
        sums, into = (double(4, 3), double(5, 7)), there.clone()
        before = [total.clone() for total in sums]
        add_gradients(Part(rows, upstream, into), chain, Totals(sums[0], *sides(order, sums[1], None)))
        assert torch.allclose(into, there + 0.5 * upstream @ torch.kron(w1, w2).detach())
        assert torch.allclose(sums[0], before[0] + expected[0] / 0.5)
        assert torch.allclose(sums[1], before[1] + expected[1])


@pytest.mark.parametrize("tokens", [0, 1, 1023, 1024, 1025, 5000])
def test_slices_miss_no_token_and_keep_temporaries_small(tokens: int) -> None:
    chain = Chain(torch.ones(4, 8), None, torch.ones(64, 3))
    rows = torch.arange(tokens)[:, None]
    parts = [rows[part] for part in slices(rows, chain)]
    assert torch.equal(torch.cat([*parts, rows[:0]]), rows)
    most = min(SLICE_TOKENS, SLICE_NUMBERS // (8 * 64)) * torch.get_num_threads()
    assert all(0 < len(part) <= most for part in parts)
    assert len(parts) == -(-tokens // most)


def test_a_token_larger_than_a_slice_is_done_alone() -> None:
    chain = Chain(torch.ones(1, 1), torch.ones(1, SLICE_NUMBERS * torch.get_num_threads() + 1), None)
    assert [part.start for part in slices(torch.ones(3, 1), chain)] == [0, 1, 2]


def test_elsewhere_all_tokens_are_done_at_once() -> None:
    chain = Chain(torch.ones(4, 8), None, torch.ones(64, 3))
    assert len(list(slices(torch.empty(5000, 1, device="meta"), chain))) == 1
