"""The rows of a parquet or JSONL file, one after another, each with its number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import IO, Any

from simpletuner.core.errors import DataError
from simpletuner.core.optional import optional
from simpletuner.data.sources.cells import require_columns

_PARQUET = b"PAR1"
_BATCH = 10_000

Row = tuple[int, Mapping[str, Any]]


def read_rows(stream: IO[bytes], file: str, asked: Mapping[str, str | None]) -> Iterator[Row]:
    """Number (from 1; in JSONL the line) and cells of each row.

    ``asked`` are the columns that will be looked at, by the key that names each; None is not asked for.

    Raises:
        ConfigError: the table has no such column, or reading parquet needs a package that is missing.
        DataError: the file is broken; the message names the row.
    """
    is_parquet = stream.read(4) == _PARQUET
    stream.seek(0)
    return _parquet(stream, file, asked) if is_parquet else _lines(stream, file, asked)


def _parquet(stream: IO[bytes], file: str, asked: Mapping[str, str | None]) -> Iterator[Row]:
    pyarrow = optional("pyarrow", extra="data", needed_for="metadata_backend parquet")
    parquet = optional("pyarrow.parquet", extra="data", needed_for="metadata_backend parquet")
    number = 0
    try:
        table = parquet.ParquetFile(stream)
        present = table.schema_arrow.names
        require_columns(asked, present, file)
        columns = sorted(
            {column if column in present else column.partition(".")[0] for column in asked.values() if column}
        )
        for batch in table.iter_batches(_BATCH, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise DataError(
            f"cannot be read as parquet after row {number} ({first})", file=file, cure="write the file again"
        ) from error


def _lines(stream: IO[bytes], file: str, asked: Mapping[str, str | None]) -> Iterator[Row]:
    present: set[str] = set()
    for number, line in enumerate(stream, 1):
        if line.strip():
            row = _line(line, number, file)
            if not present:
                require_columns({"filename_column": asked.get("filename_column")}, row, file)
            present.update(row)
            yield number, row
    require_columns(asked, present, file)


def _line(line: bytes, number: int, file: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"line {number} is no JSON ({error})", file=file, cure="write one JSON object on each line, in UTF-8"
        ) from error
    if not isinstance(row, dict):
        raise DataError(f"line {number} is no JSON object", file=file, cure="write one JSON object on each line")
    return row
