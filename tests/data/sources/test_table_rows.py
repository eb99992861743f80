from __future__ import annotations

import io
import json
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from simpletuner.core.errors import ConfigError, DataError, SimpletunerError
from simpletuner.data.sources.table_rows import read_rows

ROWS = [{"file": "a", "caption": ["x", "y"]}, {"file": "b", "caption": None}]


def packed(rows: list[dict[str, Any]]) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), stream)
    return stream.getvalue()


def read(content: bytes, **asked: str | None) -> list[Any]:
    return list(read_rows(io.BytesIO(content), "t", asked))


def test_parquet_and_json_lines_say_the_same() -> None:
    lines = "\n".join(json.dumps(row) for row in ROWS).encode()
    asked = {"filename_column": "file", "caption_column": "caption", "width_column": None}
    assert read(packed(ROWS), **asked) == read(lines, **asked) == [(1, ROWS[0]), (2, ROWS[1])]


def test_only_what_is_asked_for_is_read_from_parquet() -> None:
    rows = [{"file": "a", "blob": b"x" * 100, "meta": {"caption": "inner"}}]
    assert read(packed(rows), f="file", c="meta.caption") == [(1, {"file": "a", "meta": {"caption": "inner"}})]


def test_lines_are_numbered_as_an_editor_does() -> None:
    assert read(b'\xef\xbb\xbf{"file": "a"}\r\n\n{"file": "b"}\n', filename_column="file")[1] == (3, {"file": "b"})


@pytest.mark.parametrize(
    "line", [b'{"file": ', b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"file": "a"} {}', b"NaN"], ids=range(6)
)
def test_a_broken_line_is_named(line: bytes) -> None:
    with pytest.raises(DataError, match="line 2 is no JSON") as caught:
        read(b'{"file": "a"}\n' + line, filename_column="file")
    assert caught.value.file == "t"
    assert caught.value.cure


def test_a_column_that_no_row_has() -> None:
    with pytest.raises(ConfigError, match='no column "caption"'):
        read(b'{"file": "a"}\n', filename_column="file", caption_column="caption")
    with pytest.raises(ConfigError, match='no column "name"') as caught:
        read(b'{"file": "a"}\n', filename_column="name")
    assert caught.value.key == "filename_column"
    with pytest.raises(ConfigError, match='no column "name"'):
        read(packed(ROWS), filename_column="name")


@given(st.integers(4, 400), st.booleans())
def test_damaged_parquet_is_told_and_never_crashes(cut: int, flipped: bool) -> None:
    whole = packed(ROWS * 20)
    broken = whole[:cut] + bytes([whole[cut] ^ 255]) + whole[cut + 1 :] if flipped else whole[:cut]
    try:
        read(broken, f="file", c="caption")
    except SimpletunerError as error:
        assert error.file == "t"
