"""The curve between the points: smooth, through all of them, and never beyond them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.diffusion.pchip import Piece, pieces_through

WEIGHTS = st.lists(st.floats(0, 100), min_size=2, max_size=7)
STEP = 1e-5


def value(piece: Piece, x: float) -> float:
    """The curve itself, as the slope of its area."""
    return (piece.area(x + STEP) - piece.area(x - STEP)) / (2 * STEP)


def slope(piece: Piece, x: float) -> float:
    return (piece.area(x + 1e-4) - 2 * piece.area(x) + piece.area(x - 1e-4)) / 1e-8


@given(WEIGHTS)
def test_it_goes_through_every_point_and_stays_between_neighbours(weights: list[float]) -> None:
    pieces = pieces_through(weights)
    assert len(pieces) == len(weights) - 1
    for piece, (left, right) in zip(pieces, pairwise(weights), strict=True):
        inside = [value(piece, x / 20) for x in range(21)]
        assert inside[0] == pytest.approx(left, abs=1e-5)
        assert inside[-1] == pytest.approx(right, abs=1e-5)
        assert min(left, right) - 1e-5 <= min(inside)
        assert max(inside) <= max(left, right) + 1e-5
        assert sorted(inside, reverse=left > right) == pytest.approx(inside, abs=2e-5)


@given(st.lists(st.floats(0, 3), min_size=3, max_size=6))
def test_it_has_no_corner(weights: list[float]) -> None:
    for before, after in pairwise(pieces_through(weights)):
        assert slope(before, 1) == pytest.approx(slope(after, 0), abs=1e-4)


def test_slopes_by_hand() -> None:
    """Through 1, 2, 5: chords 1 and 3, harmonic mean 1.5; the first end's parabola falls, so it is held at 0."""
    first, second = pieces_through([1, 2, 5])
    assert (first.rise_left, first.rise_right, second.rise_right) == (0, 1.5, 4)
    assert [piece.rise_left for piece in pieces_through([0, 1, 0])] == [2, 0]
    assert pieces_through([0, 1, 0, 0, 0])[0].rise_left == 2
    assert pieces_through([0, 1, -4])[0].rise_left == 3, "held at three chords, where the parabola would give 4"
    assert pieces_through([1, 3]) == (Piece(1, 3, 2, 2),)
