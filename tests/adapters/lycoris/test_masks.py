from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lycoris.modules.tlora import compute_timestep_mask

from simpletuner.adapters.lycoris.masks import RankSchedule, active_ranks, rank_mask


@pytest.mark.parametrize(("rank", "minimum", "exponent"), [(16, 1, 1.0), (64, 4, 1.5), (10, 1, 0.5), (4, 4, 1.0)])
def test_the_ranks_are_those_of_lycoris_at_every_timestep(rank: int, minimum: int, exponent: float) -> None:
    steps = torch.arange(1001)
    ours = active_ranks(steps / 1000, rank, RankSchedule(minimum, exponent))
    theirs = [int(compute_timestep_mask(int(step), 1000, rank, minimum, exponent).sum()) for step in steps]
    # Where a whole number is hit exactly, double precision may fall below it.
    assert (ours - torch.tensor(theirs)).abs().max() <= 1
    assert (ours != torch.tensor(theirs)).float().mean() < 0.02


def test_few_on_noise_and_all_on_a_clean_picture() -> None:
    assert active_ranks(torch.tensor([1.0, 0.5, 0.1, 0.0]), 11, RankSchedule()).tolist() == [1, 6, 10, 11]
    assert active_ranks(torch.tensor([1.0, 0.5, 0.0]), 9, RankSchedule(3, 2.0)).tolist() == [3, 4, 9]


def test_each_row_has_its_own_ranks() -> None:
    mask = rank_mask(torch.tensor([1.0, 0.0, 0.5]), 5, RankSchedule())
    assert mask.tolist() == [[1, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


@given(
    sigma=st.floats(0, 1),
    more=st.floats(0, 1),
    rank=st.integers(1, 128),
    minimum=st.integers(1, 200),
    exponent=st.floats(0.1, 5),
)
def test_less_noise_never_takes_a_rank_away(
    sigma: float, more: float, rank: int, minimum: int, exponent: float
) -> None:
    schedule = RankSchedule(minimum, exponent)
    noisy, clean = active_ranks(torch.tensor([max(sigma, more), min(sigma, more)]), rank, schedule).tolist()
    assert min(minimum, rank) <= noisy <= clean <= rank
