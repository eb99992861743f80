"""A smooth curve through equally spaced points that goes up and down only where the points do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Piece:
    """The cubic from value ``left`` to ``right`` over 0 to 1, with slopes ``rise_left`` and ``rise_right`` there."""

    left: float
    right: float
    rise_left: float
    rise_right: float

    def area(self, x: float) -> float:
        """The integral from 0 to ``x``: the Hermite cubic's terms, each integrated."""
        bend = 2 * (self.left - self.right) + self.rise_left + self.rise_right
        curve = 3 * (self.right - self.left) - 2 * self.rise_left - self.rise_right
        return x * (self.left + x * (self.rise_left / 2 + x * (curve / 3 + x * bend / 4)))


def pieces_through(values: Sequence[float]) -> tuple[Piece, ...]:
    """One piece between each two neighbours of ``values``, of which there are at least 2.

    Slopes are Fritsch and Butland's 1984 (SIAM J. Sci. Stat. Comput. 5, 300): the harmonic mean of the chords, 0 at a
    peak or a dip; at the ends a parabola's, held back so that the curve stays monotone (PCHIP).
    """
    chords = [after - before for before, after in pairwise(values)]
    inner = [_between(before, after) for before, after in pairwise(chords)]
    if inner:
        slopes = [_at_end(chords[0], chords[1]), *inner, _at_end(chords[-1], chords[-2])]
    else:
        slopes = [chords[0], chords[0]]
    return tuple(Piece(*ends, *rises) for ends, rises in zip(pairwise(values), pairwise(slopes), strict=True))


def _between(before: float, after: float) -> float:
    return 2 * before * after / (before + after) if before * after > 0 else 0.0


def _at_end(chord: float, next_chord: float) -> float:
    slope = (3 * chord - next_chord) / 2
    if slope * chord <= 0:
        return 0.0
    is_turning = chord * next_chord < 0
    return 3 * chord if is_turning and abs(slope) > 3 * abs(chord) else slope
