"""What the cells of a table say: captions and sizes, in every form that people write them in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.data.places.geometry import Size
from simpletuner.data.sources.base import Facts
from simpletuner.data.sources.kinds import sample

_LARGEST_EDGE = 1_000_000


def captions_of(cell: Any) -> tuple[str, ...]:
    """The captions in a cell: text, a list of texts, or nothing. White space around each is dropped, empty ones too."""
    if cell is None:
        return ()
    if isinstance(cell, (list, tuple)):
        return tuple(caption for part in cell for caption in captions_of(part))
    text = str(cell).strip()
    return (text,) if text else ()


def pixels_of(cell: Any) -> int | None:
    """A side in pixels from a number, text or a one-element list; None when nothing is said. Raises ValueError."""
    if isinstance(cell, (list, tuple)) and len(cell) == 1:
        cell = cell[0]
    if cell is None or cell == "":
        return None
    if not isinstance(cell, (str, int, float)) or isinstance(cell, bool):
        raise ValueError(f"{cell!r} is no number of pixels")
    number = float(cell)
    if not 1 <= number <= _LARGEST_EDGE or number != int(number):
        raise ValueError(f"{cell!r} is no number of pixels")
    return int(number)


def cell(row: Mapping[str, Any], column: str) -> Any:
    """The cell of a column; ``a.b`` is ``b`` inside the object ``a``, unless a column has just that name."""
    if column in row:
        return row[column]
    inner: Any = row
    for part in column.split("."):
        if not isinstance(inner, Mapping):
            return None
        inner = inner.get(part)
    return inner


def facts_of(
    row: Mapping[str, Any], captions: Sequence[str], fallback: str | None, sides: tuple[str | None, str | None]
) -> Facts:
    """What a row says: the captions of its caption columns, else of the fallback column, and width and height.

    Raises:
        DataError: a side is no number of pixels; the message names the column.
    """
    found = tuple(caption for column in captions for caption in captions_of(cell(row, column)))
    if not found and fallback is not None:
        found = captions_of(cell(row, fallback))
    width, height = (_side(row, column) for column in sides)
    return Facts(found or None, Size(width, height) if width and height else None)


def _side(row: Mapping[str, Any], column: str | None) -> int | None:
    if column is None:
        return None
    try:
        return pixels_of(cell(row, column))
    except ValueError as error:
        raise DataError(
            f'column "{column}": {error}', cure="write whole numbers, or leave the width and height columns out"
        ) from None


def require_columns(asked: Mapping[str, str | None], present: Iterable[str], file: str) -> None:
    """Raise ConfigError when a column is not in the table; ``asked`` has it by the key that names it.

    Of a dotted column the first part is enough.
    """
    known = set(present)
    for key, column in asked.items():
        if column is not None and column not in known and column.partition(".")[0] not in known:
            raise ConfigError(
                f'there is no column "{column}"', file=file, key=key, cure=f"use one of: {sample(sorted(known), 20)}"
            )
