from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from simpletuner.models.recompute import BlockBytes, Group, by_interval, keeping, kept_blocks, plain, saved_bytes

BLOCKS = st.integers(1, 40)


@given(blocks=BLOCKS, interval=st.integers(1, 50))
def test_groups_cover_every_block_once_in_order(blocks: int, interval: int) -> None:
    for groups in (plain(blocks), by_interval(blocks, interval), keeping(blocks, {0, blocks - 1})):
        assert [index for group in groups for index in range(group.start, group.stop)] == list(range(blocks))
    assert all(group.stop - group.start <= interval for group in by_interval(blocks, interval))


def test_an_interval_of_one_is_plain_checkpointing_of_all_but_the_last_block() -> None:
    assert by_interval(3, 1) == keeping(3, {2}) == (Group(0, 1, True), Group(1, 2, True), Group(2, 3, False))


def test_the_last_group_keeps_everything_however_short() -> None:
    assert [group.recomputed for group in by_interval(5, 2)] == [True, True, False]
    assert by_interval(5, 9) == plain(5)


@given(
    blocks=BLOCKS,
    held=st.sets(st.integers(0, 39)),
    entry=st.integers(1, 10),
    more=st.integers(0, 90),
    budget=st.integers(0, 5000),
)
def test_as_many_blocks_keep_everything_as_fit_and_they_are_the_last(
    blocks: int, held: set[int], entry: int, more: int, budget: int
) -> None:
    free = [index for index in range(blocks) if index not in held]
    size = BlockBytes(kept=entry + more, entry=entry)
    kept = kept_blocks(blocks, free, size, budget)

    def total(count: int) -> int:
        return count * size.kept + (blocks - count) * size.entry

    assert kept == frozenset(free[len(free) - len(kept) :])
    assert not kept or total(len(kept)) <= budget
    assert len(kept) == len(free) or more == 0 or total(len(kept) + 1) > budget


def test_what_autograd_keeps_is_counted_once_and_weights_are_not() -> None:
    layer, entry = nn.Linear(8, 8), torch.randn(4, 8, requires_grad=True)

    def run() -> torch.Tensor:
        hidden = layer(entry)
        return hidden * hidden.tanh() + torch.rand(4, 8)

    before = torch.random.get_rng_state()
    # The entry (for the layer's weight), the layer's answer and its tanh: 4 x 8 floats each.
    assert saved_bytes(run, layer.parameters()) == 3 * 4 * 8 * 4
    assert torch.equal(torch.random.get_rng_state(), before)
    assert saved_bytes(run, [*layer.parameters(), entry]) == 2 * 4 * 8 * 4
