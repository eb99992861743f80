"""A parquet or JSONL table that says what the pictures of a folder or bucket are called, show and measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.data.sources.base import Facts, Listing, Source
from simpletuner.data.sources.cells import cell, facts_of
from simpletuner.data.sources.kinds import sample
from simpletuner.data.sources.table_rows import read_rows


@dataclass(frozen=True)
class TableSpec:
    """Where the table lies (a local file, or a path inside the source) and what its columns mean."""

    path: str
    filename_column: str
    caption_column: str | None = None
    fallback_caption_column: str | None = None
    width_column: str | None = None
    height_column: str | None = None
    identifier_includes_extension: bool = False

    @property
    def asked(self) -> dict[str, str | None]:
        """The columns by the key that names each."""
        return {
            "filename_column": self.filename_column,
            "caption_column": self.caption_column,
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
        """The source's, with facts. A picture that the table does not name has none.

        Raises:
            ConfigError: the table or a column does not exist.
            DataError: the table is broken, contradicts itself, or names none of the pictures.
        """
        listing = self._source.listing()
        with self._table() as stream:
            facts = _Reading(self._spec, listing.pictures, self.where).facts(stream)
        return replace(listing, facts=facts)

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


class _Reading:
    """One reading of the table against the pictures that are there."""

    def __init__(self, spec: TableSpec, pictures: Mapping[str, str], where: str) -> None:
        self._spec = spec
        self._pictures = pictures
        self._where = where
        self._by_name: dict[str, list[str]] = {}
        for path in pictures:
            self._by_name.setdefault(path.rpartition("/")[2], []).append(path)

    def facts(self, stream: IO[bytes]) -> dict[str, Facts]:
        spec, rows, unmatched = self._spec, 0, ""
        found: dict[str, tuple[int, Facts]] = {}
        for rows, row in read_rows(stream, spec.path, spec.asked):
            identifier = self._identifier(cell(row, spec.filename_column), rows)
            path = self._path(identifier, rows)
            if path is None:
                unmatched = unmatched or identifier
                continue
            self._add(found, path, rows, row)
        if not found and self._pictures and rows:
            raise self._nothing_fits(unmatched)
        return {path: facts for path, (_, facts) in found.items()}

    def _add(self, found: dict[str, tuple[int, Facts]], path: str, number: int, row: Mapping[str, object]) -> None:
        spec = self._spec
        captions = (spec.caption_column,) if spec.caption_column else ()
        try:
            facts = facts_of(row, captions, spec.fallback_caption_column, (spec.width_column, spec.height_column))
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
        for name in names:
            if name in self._pictures:
                return name
        candidates = next((self._by_name[name] for name in names if name in self._by_name), [])
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
