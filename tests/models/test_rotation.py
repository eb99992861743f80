"""Which blocks take turns on the device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.errors import ConfigError
from simpletuner.models.rotation import SLOTS, rotating


@st.composite
def swaps(draw: st.DrawFn) -> tuple[int, int]:
    blocks = draw(st.integers(3, 40))
    return blocks, draw(st.integers(1, blocks - SLOTS))


@given(swaps())
def test_rotating_blocks_are_spread_and_two_more_than_are_away(swap: tuple[int, int]) -> None:
    blocks, swapped = swap
    order = rotating(blocks, swapped)
    assert len(set(order)) == len(order) == swapped + SLOTS
    assert list(order) == sorted(order)
    assert 0 <= order[0] < order[-1] < blocks
    gaps = [later - earlier for earlier, later in zip(order, (*order[1:], order[0] + blocks), strict=True)]
    assert max(gaps) - min(gaps) <= 1


def test_more_than_can_be_away_is_refused_with_the_arithmetic() -> None:
    assert rotating(8, 6) == tuple(range(8))
    with pytest.raises(ConfigError, match=r"7 of 8 blocks: 2 are on the card at any time.*\n.*at most 6"):
        rotating(8, 7)
