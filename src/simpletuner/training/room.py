"""Micro-batches that fit into memory: one that does not is halved, and so are all of its shape from then on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from simpletuner.core.errors import OutOfMemory
from simpletuner.core.memory import first_line, is_exhausted
from simpletuner.core.samples import Update, Use


@dataclass(frozen=True)
class Exhausted:
    """Memory ran out in a micro-batch of ``rows``; ``said`` is the first line of the error."""

    rows: int
    said: str


@dataclass
class Room:
    """How many rows fit at once, by data set and bucket, where that turned out to be fewer than asked for."""

    fits: dict[tuple[str, str], int] = field(default_factory=dict)

    def cut(self, update: Update, slices: Sequence[Sequence[Use]]) -> list[Sequence[Use]]:
        """``slices`` without the empty ones, each in pieces that fit."""
        most = self.fits.get((update.dataset, update.bucket))
        if most is None:
            return [uses for uses in slices if uses]
        return [uses[start : start + most] for uses in slices for start in range(0, len(uses), most)]

    def halve(self, update: Update, exhausted: Exhausted, *, in_step: bool = False) -> str:
        """Let fewer rows of this shape be computed at once; a line about it.

        Raises OutOfMemory for a single row, and ``in_step`` with processes that wait inside of the same micro-batch.
        """
        where = shape_of(update)
        if exhausted.rows < 2 or in_step:
            raise OutOfMemory(f"{exhausted.rows} of {where} do not fit into memory: {exhausted.said}")
        fits = (exhausted.rows + 1) // 2
        self.fits[update.dataset, update.bucket] = fits
        return (
            f"{where}: {exhausted.rows} pictures at once do not fit into memory; {fits} at once from here on, "
            "in more time, with the same gradients but for rounding and dropout"
        )


@contextmanager
def memory_named(what: str) -> Iterator[None]:
    """Around what no smaller micro-batch would help. Raises OutOfMemory, which begins with ``what``."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_exhausted(error):
            raise
        raise OutOfMemory(f"{what}: {first_line(error)}") from error


def shape_of(update: Update) -> str:
    """Which micro-batches an update has, for a message."""
    return f'data set "{update.dataset}", bucket {update.bucket}'
