from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.samples import SampleId
from simpletuner.data.files.table import Derived, PictureTable


def table_of(paths: list[str]) -> PictureTable:
    count = len(paths)
    return PictureTable(
        "set",
        paths,
        np.arange(count, dtype=np.int32) + 10,
        np.arange(count, dtype=np.int32) + 20,
        [(path.upper(),) for path in paths],
        digests={path: f"digest of {path}" for path in paths},
    )


@given(paths=st.sets(st.text(min_size=1), min_size=1))
def test_every_picture_is_found_by_its_path(paths: set[str]) -> None:
    table = table_of(sorted(paths))
    for row, path in enumerate(table.paths):
        assert table.row(path) == row
        assert table.sample(row) == SampleId("set", path)


def test_a_path_that_is_not_there_is_a_key_error() -> None:
    for path in ("", "b", "z"):
        with pytest.raises(KeyError):
            table_of(["a", "c"]).row(path)


def test_samples_are_made_when_they_are_asked_for() -> None:
    samples = table_of(["a", "b", "c"]).samples(np.array([2, 0], dtype=np.int32))
    assert list(samples) == [SampleId("set", "c"), SampleId("set", "a")]
    assert len(samples) == 2
    assert samples[-1] == SampleId("set", "a")
    with pytest.raises(IndexError):
        samples[2]


def test_a_table_without_some_pictures_keeps_its_columns_together() -> None:
    table = table_of(["a", "b", "c", "d"])
    less = table.without(frozenset({"a", "c"}))
    assert list(less.paths) == ["b", "d"]
    assert less.widths.tolist() == [11, 13]
    assert less.heights.tolist() == [21, 23]
    assert list(less.captions) == [("B",), ("D",)]
    assert table.without(frozenset()) is table


def test_a_derived_sequence_behaves_like_a_list() -> None:
    squares = Derived(5, lambda index: index * index)
    assert list(squares) == squares[:] == [0, 1, 4, 9, 16]
    assert squares[1:4:2] == [1, 9]
    assert 9 in squares
    assert squares.index(16) == 4
