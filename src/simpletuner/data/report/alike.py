"""Pictures that look alike: a perceptual hash of the library imagehash, and a coarse look at the colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simpletuner.core.optional import optional

NEAR = 4
"""Two pictures are alike when at most so many of the 64 bits of their hashes differ."""
# The hash sees shapes only: two flags, or an icon in two colours, are told apart by these.
_COLOURS = 32
_GRID = 4
# So many pixels are looked at, and averaged to the 32 x 32 that the hash is made of.
_SAMPLED = (96, 64)
_AVERAGED = (3, 2)
_HASH_BYTES = 8
_LOOK_BYTES = _HASH_BYTES + 3 * _GRID * _GRID
# NEAR + 1 pieces: of two hashes that differ in NEAR bits one piece is equal.
_PIECES = (13, 13, 13, 13, 12)

Look = bytes
"""What a picture looks like: 8 bytes of hash, then the mean colours of a grid of 4 x 4 cells."""
Pairs = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint8]]


def looker() -> Callable[[Image.Image], Look]:
    """What takes the look of an RGB picture; safe in threads. Raises ConfigError when imagehash is not installed."""
    phash = optional("imagehash", extra="data", needed_for="--deep").phash

    def look(image: Image.Image) -> Look:
        # Decoding is what should take the time: some pixels of each cell are looked at, then averaged.
        small = image.resize(_SAMPLED, Image.Resampling.NEAREST).reduce(_AVERAGED)
        cells = small.resize((_GRID, _GRID), Image.Resampling.BOX)
        return bytes(np.packbits(phash(small).hash).tobytes() + cells.tobytes())

    return look


def alike_pairs(looks: Sequence[Look]) -> Iterator[Pairs]:
    """Pairs of looks that are alike, in pieces: places in ``looks``, and how many bits differ; some come twice.

    Not every look is compared with every other: only those whose hashes share one of five pieces.
    """
    table = np.frombuffer(b"".join(looks), dtype=np.uint8).reshape(len(looks), _LOOK_BYTES)
    hashes = np.ascontiguousarray(table[:, :_HASH_BYTES]).view(">u8").reshape(-1).astype(np.uint64)
    colours = table[:, _HASH_BYTES:].astype(np.int16)
    low = 0
    for bits in _PIECES:
        piece = (hashes >> np.uint64(low)) & np.uint64((1 << bits) - 1)
        low += bits
        for left, right in _sharing(piece):
            close = np.flatnonzero(np.bitwise_count(hashes[left] ^ hashes[right]) <= NEAR)
            one, other = left[close], right[close]
            same = (np.abs(colours[one] - colours[other]) <= _COLOURS).all(axis=1)
            if same.any():
                one, other = one[same], other[same]
                yield one, other, np.bitwise_count(hashes[one] ^ hashes[other])


def alike_groups(looks: Sequence[Look]) -> list[list[int]]:
    """Places in ``looks`` that belong together, because each is alike to some other of its group; largest first."""
    groups = _Groups(len(looks))
    for left, right, _ in alike_pairs(looks):
        groups.join(left, right)
    return groups.found()


def _sharing(piece: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Every pair of places with equal values, in as many steps as the largest group has members."""
    order = np.argsort(piece, kind="stable")
    ordered = piece[order]
    ends = np.searchsorted(ordered, ordered, side="right")
    first, step = np.arange(len(piece)), 1
    while len(first := first[first + step < ends[first]]):
        yield order[first], order[first + step]
        step += 1


class _Groups:
    """Joins places; what is joined already costs nearly nothing, so that a thousand equal pictures are no trouble."""

    def __init__(self, size: int) -> None:
        self._above = np.arange(size)

    def join(self, left: NDArray[np.intp], right: NDArray[np.intp]) -> None:
        """Put each of ``left`` and its partner of ``right`` together."""
        new = self._top(left) != self._top(right)
        for one, other in zip(left[new].tolist(), right[new].tolist(), strict=True):
            first, second = sorted((self._climb(one), self._climb(other)))
            self._above[second] = first

    def found(self) -> list[list[int]]:
        """The groups of two or more."""
        tops = self._top(np.arange(len(self._above)))
        order = np.argsort(tops, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(tops[order])) + 1)
        groups = [part.tolist() for part in parts if len(part) > 1]
        return sorted(groups, key=lambda group: (-len(group), group))

    def _top(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        tops = self._above[places]
        while not np.array_equal(higher := self._above[tops], tops):
            tops = higher
        self._above[places] = tops
        return tops

    def _climb(self, place: int) -> int:
        while (above := int(self._above[place])) != place:
            place = above
        return place
