from __future__ import annotations

from typing import Any

import pytest

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.data.places.geometry import Size
from simpletuner.data.sources.base import Facts
from simpletuner.data.sources.cells import captions_of, cell, facts_of, pixels_of, require_columns


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (" a cat ", ("a cat",)),
        (["a", " b", "", None], ("a", "b")),
        ([["a"], "b"], ("a", "b")),
        (None, ()),
        ("  ", ()),
        (7, ("7",)),
    ],
)
def test_captions(written: Any, expected: tuple[str, ...]) -> None:
    assert captions_of(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [(512, 512), (512.0, 512), ("512", 512), (" 512.0 ", 512), ([512], 512), (["512"], 512), (None, None), ("", None)],
)
def test_sides(written: Any, expected: int | None) -> None:
    assert pixels_of(written) == expected


@pytest.mark.parametrize("written", ["wide", -1, 0, 1.5, [1, 2], True, 1e309, float("nan"), {"px": 3}, "1e9"])
def test_what_is_no_side_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match=r"pixels|could not convert"):
        pixels_of(written)


def test_a_dotted_column_reaches_inside() -> None:
    row = {"meta": {"caption": "inner"}, "meta.caption": "outer", "flat": "x"}
    assert cell(row, "meta.caption") == "outer"
    assert cell({"meta": {"caption": "inner"}}, "meta.caption") == "inner"
    assert cell(row, "flat.deeper") is None
    assert cell(row, "gone") is None


def test_the_fallback_speaks_when_the_caption_is_empty() -> None:
    row = {"caption": " ", "alt": "spare", "w": "64", "h": [32]}
    assert facts_of(row, ["caption"], "alt", ("w", "h")) == Facts(("spare",), Size(64, 32))
    assert facts_of({**row, "caption": "own"}, ["caption", "alt"], "alt", ("w", None)) == Facts(("own", "spare"))
    assert facts_of(row, ["caption"], None, (None, None)) == Facts()


def test_a_side_that_is_no_number_names_its_column() -> None:
    with pytest.raises(DataError, match='column "w"'):
        facts_of({"w": "wide"}, [], None, ("w", "h"))


def test_a_missing_column_names_its_key_and_the_others() -> None:
    require_columns({"a": "one", "b": "two.inner", "c": None}, ["one", "two"], "t.parquet")
    with pytest.raises(ConfigError, match='no column "capton"') as caught:
        require_columns({"caption_column": "capton"}, ["file", "caption"], "t.parquet")
    assert caught.value.key == "caption_column"
    assert "caption, file" in str(caught.value.cure)
