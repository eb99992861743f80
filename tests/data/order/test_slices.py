from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.data.order.slices import micro_batches


def update_of(count: int) -> Update:
    return Update("set", "1.0", tuple(Use(SampleId("set", str(number)), 0) for number in range(count)))


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 5))
def test_ranks_cover_the_update_once_in_order_and_in_step(count: int, micro_batch: int, ranks: int) -> None:
    update = update_of(count)
    slices = [micro_batches(update, micro_batch, ranks, rank) for rank in range(ranks)]
    assert tuple(use for rank in slices for part in rank for use in part) == update.uses
    assert len({len(rank) for rank in slices}) == 1
    assert all(len(part) <= micro_batch for rank in slices for part in rank)
    shares = [sum(len(part) for part in rank) for rank in slices]
    assert max(shares) - min(shares) <= 1


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 5))
def test_a_full_update_gives_full_micro_batches(micro_batch: int, accumulation: int, ranks: int) -> None:
    update = update_of(micro_batch * accumulation * ranks)
    for rank in range(ranks):
        parts = micro_batches(update, micro_batch, ranks, rank)
        assert [len(part) for part in parts] == [micro_batch] * accumulation


def test_a_rank_without_a_sample_still_has_a_micro_batch() -> None:
    assert [micro_batches(update_of(1), 2, 3, rank) for rank in range(2)] == [((),), ((),)]


@pytest.mark.parametrize(("micro_batch", "ranks", "rank"), [(1, 2, 2), (1, 2, -1), (0, 1, 0)])
def test_nonsense_is_refused(micro_batch: int, ranks: int, rank: int) -> None:
    with pytest.raises(ValueError, match="no rank"):
        micro_batches(update_of(3), micro_batch, ranks, rank)
