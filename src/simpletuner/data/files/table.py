"""The usable pictures of a data set as columns: a million of them fit where a million objects would not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from simpletuner.core.samples import SampleId

T_co = TypeVar("T_co", covariant=True)


class Derived(Sequence[T_co], Generic[T_co]):
    """A sequence whose items are made when they are asked for."""

    def __init__(self, length: int, make: Callable[[int], T_co]) -> None:
        self._length = length
        self._make = make

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | Sequence[T_co]:
        if isinstance(index, slice):
            return [self._make(row) for row in range(self._length)[index]]
        return self._make(range(self._length)[index])

    def __iter__(self) -> Iterator[T_co]:
        return map(self._make, range(self._length))


@dataclass(frozen=True, eq=False)
class PictureTable:
    """One row a picture, sorted by path.

    ``widths`` and ``heights`` (N,) int32 are upright pixels. ``captions`` are the candidates of each row; ``digests``
    and ``foci`` (where a face is, as fractions of width and height) are by path, where they are known.
    """

    dataset: str
    paths: Sequence[str]
    widths: NDArray[np.int32]
    heights: NDArray[np.int32]
    captions: Sequence[tuple[str, ...]]
    digests: Mapping[str, str] = field(default_factory=dict)
    foci: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.paths)

    def sample(self, row: int) -> SampleId:
        """The name of a row for good."""
        return SampleId(self.dataset, self.paths[row])

    def row(self, path: str) -> int:
        """The row of a picture. Raises KeyError when it is not in the table."""
        if path not in self:
            raise KeyError(path)
        return bisect_left(self.paths, path)

    def __contains__(self, path: str) -> bool:
        """Whether a picture of this path is in the table."""
        found = bisect_left(self.paths, path)
        return found < len(self.paths) and self.paths[found] == path

    def samples(self, rows: NDArray[np.int32]) -> Sequence[SampleId]:
        """The names of some rows, made when they are asked for."""
        return Derived(len(rows), lambda place: self.sample(int(rows[place])))

    def without(self, paths: frozenset[str]) -> PictureTable:
        """The table without some pictures."""
        if not paths:
            return self
        rows = [row for row, path in enumerate(self.paths) if path not in paths]
        kept = np.asarray(rows, dtype=np.int64)
        return PictureTable(
            self.dataset,
            [self.paths[row] for row in rows],
            self.widths[kept],
            self.heights[kept],
            [self.captions[row] for row in rows],
            self.digests,
            self.foci,
        )
