"""A parquet or JSONL table that says what the pictures of a folder or bucket are called, show and measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.data.captions.candidates import composed
from simpletuner.data.entries import printable
from simpletuner.data.sources.base import Facts, Listing, Source
from simpletuner.data.sources.cells import cell, facts_of
from simpletuner.data.sources.kinds import sample
from simpletuner.data.sources.table_rows import read_rows

_NAMED = 5


@dataclass(frozen=True)
class TableSpec:
    """Where the table lies (a local file, or a path inside the source) and what its columns mean."""

    path: str
    filename_column: str
    caption_columns: tuple[str, ...] = ()
    fallback_caption_column: str | None = None
    width_column: str | None = None
    height_column: str | None = None
    identifier_includes_extension: bool = False

    @property
    def asked(self) -> dict[str, str | None]:
        """The columns by the key that names each."""
        many = len(self.caption_columns) > 1
        captions = {
            f"caption_column ({number})" if many else "caption_column": column
            for number, column in enumerate(self.caption_columns, 1)
        }
        return {
            "filename_column": self.filename_column,
            **captions,
            "fallback_caption_column": self.fallback_caption_column,
            "width_column": self.width_column,
            "height_column": self.height_column,
        }


class TableSource:
    """A source whose listing carries what a table says of its pictures."""

    def __init__(self, source: Source, spec: TableSpec) -> None:
        self._source = source
        self._spec = spec

    @property
    def where(self) -> str:
        """Where the pictures lie."""
        return self._source.where

    def listing(self) -> Listing:
        """The source's, with facts. A picture that the table does not name has none; a note counts rows of no picture.

        Raises:
            ConfigError: the table or a column does not exist.
            DataError: the table is broken, contradicts itself, or names none of the pictures.
        """
        listing = self._source.listing()
        with self._table() as stream:
            reading = _Reading(self._spec, listing.pictures, self.where)
            facts = reading.facts(stream)
        return replace(listing, facts=facts, notes=(*listing.notes, *reading.notes()))

    def open(self, path: str) -> IO[bytes]:
        """A picture or text for reading."""
        return self._source.open(path)

    def read(self, path: str) -> bytes:
        """All bytes of a picture or text."""
        return self._source.read(path)

    def version(self, path: str) -> str:
        """The version of one file as it is now."""
        return self._source.version(path)

    def renamed_from(self, version: str) -> str:
        """The part of a version that survives a rename."""
        return self._source.renamed_from(version)

    def _table(self) -> IO[bytes]:
        local = Path(self._spec.path).expanduser()
        try:
            return local.open("rb") if local.is_file() else self._source.open(self._spec.path)
        except OSError as error:
            remote = "download it and name the file" if "://" in self._spec.path else "correct the path"
            raise ConfigError(
                f"the table cannot be read ({error.strerror or type(error).__name__})",
                file=self._spec.path,
                key="path",
                cure=f"{remote}; it may also lie beside the pictures",
            ) from error


class _Names:
    """The pictures by what a row may call them."""

    def __init__(self, pictures: Mapping[str, str]) -> None:
        self._pictures = pictures
        self._by_name: dict[str, list[str]] = {}
        self._composed: dict[str, list[str]] = {}
        for path in pictures:
            name = path.rpartition("/")[2]
            self._by_name.setdefault(name, []).append(path)
            if not path.isascii():
                for spelling in {composed(path), composed(name)}:
                    self._composed.setdefault(spelling, []).append(path)

    def find(self, names: Sequence[str]) -> list[str]:
        """The pictures that the first fitting one of ``names`` may mean: by path, by name, then however it is typed."""
        if (path := next((name for name in names if name in self._pictures), None)) is not None:
            return [path]
        if (named := next((name for name in names if name in self._by_name), None)) is not None:
            return self._by_name[named]
        alike = next((name for name in map(composed, names) if name in self._composed), "")
        found = self._composed.get(alike, [])
        return [path for path in found if composed(path) == alike] or found


class _Reading:
    """One reading of the table against the pictures that are there."""

    def __init__(self, spec: TableSpec, pictures: Mapping[str, str], where: str) -> None:
        self._spec = spec
        self._pictures = pictures
        self._where = where
        self._names = _Names(pictures)
        self._rows = 0
        # The first ones only: a table may be far larger than the folder.
        self._strangers: list[str] = []
        self._strange = 0

    def facts(self, stream: IO[bytes]) -> dict[str, Facts]:
        spec = self._spec
        found: dict[str, tuple[int, Facts]] = {}
        for number, row in read_rows(stream, spec.path, spec.asked):
            self._rows += 1
            identifier = self._identifier(cell(row, spec.filename_column), number)
            path = self._path(identifier, number)
            if path is None:
                self._strange += 1
                self._strangers += [identifier] if self._strange <= _NAMED else []
                continue
            self._add(found, path, number, row)
        if not found and self._pictures and self._rows:
            raise self._nothing_fits(self._strangers[0])
        return {path: facts for path, (_, facts) in found.items()}

    def notes(self) -> tuple[str, ...]:
        """What to tell of the rows that fit no picture."""
        if not self._strange:
            return ()
        more = f" and {self._strange - _NAMED} more" if self._strange > _NAMED else ""
        table = self._spec.path.rpartition("/")[2]
        names = ", ".join(printable(name) for name in self._strangers)
        return (f"{self._strange} of {self._rows} rows of {table} name a picture that is not here: {names}{more}",)

    def _add(self, found: dict[str, tuple[int, Facts]], path: str, number: int, row: Mapping[str, object]) -> None:
        spec = self._spec
        sides = (spec.width_column, spec.height_column)
        try:
            facts = facts_of(row, spec.caption_columns, spec.fallback_caption_column, sides)
        except DataError as error:
            raise DataError(f"row {number}: {error.reason}", file=spec.path, cure=error.cure) from None
        earlier, known = found.setdefault(path, (number, facts))
        if known != facts:
            raise DataError(
                f"rows {earlier} and {number} say different things of {path}",
                file=spec.path,
                cure="keep one of them; several captions of a picture go into one cell, as a list",
            )

    def _identifier(self, value: object, number: int) -> str:
        if value is None or not str(value).strip():
            raise DataError(
                f'row {number} has nothing in its column "{self._spec.filename_column}"',
                file=self._spec.path,
                cure="name the picture, or remove the row",
            )
        return str(value).strip()

    def _path(self, identifier: str, number: int) -> str | None:
        """The picture that an identifier means: by its path, or by its name alone where that is enough."""
        relative = identifier.removeprefix(f"{self._where}/").removeprefix("./")
        names = [relative] if self._spec.identifier_includes_extension else [f"{relative}.png", relative]
        candidates = self._names.find(names)
        if len(candidates) > 1:
            raise DataError(
                f'row {number}: "{identifier}" may be any of {sample(candidates, 3)}',
                file=self._spec.path,
                cure="write the folder too",
            )
        return candidates[0] if candidates else None

    def _nothing_fits(self, identifier: str) -> DataError:
        told = "true" if not self._spec.identifier_includes_extension else "false"
        return DataError(
            f'no row names a picture: the first one says "{identifier}", the first picture is '
            f'"{next(iter(self._pictures))}"',
            file=self._spec.path,
            key="filename_column",
            cure=f"correct the column, or try identifier_includes_extension={told}",
        )
