from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.data.places.geometry import Size
from simpletuner.data.sources.base import Facts
from simpletuner.data.sources.folder import FolderSource
from simpletuner.data.sources.tables import TableSource, TableSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one.png", "sub/two.png", "sub/three.jpg", "other/three.jpg"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"x")
    return tmp_path / "set"


def table(folder: Path, rows: list[dict[str, Any]], **columns: Any) -> TableSource:
    path = folder.parent / "table.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return TableSource(FolderSource.at(str(folder)), TableSpec(str(path), "file", ("caption",), **columns))


def test_rows_are_matched_by_path_by_name_and_by_stem(folder: Path) -> None:
    rows = [
        {"file": "one", "caption": "first"},
        {"file": "two", "caption": ["second", "another"]},
        {"file": "./sub/three.jpg", "caption": "third"},
        {"file": "elsewhere", "caption": "of no picture"},
    ]
    listing = table(folder, rows).listing()
    assert listing.facts == {
        "one.png": Facts(("first",)),
        "sub/two.png": Facts(("second", "another")),
        "sub/three.jpg": Facts(("third",)),
    }
    assert list(listing.pictures) == ["one.png", "other/three.jpg", "sub/three.jpg", "sub/two.png"]


def test_an_identifier_with_its_extension_is_taken_as_it_is(folder: Path) -> None:
    rows = [{"file": f"{folder}/sub/two.png", "caption": "x"}, {"file": "one", "caption": "not one.png"}]
    assert table(folder, rows, identifier_includes_extension=True).listing().facts.keys() == {"sub/two.png"}


def test_numbers_are_names_too(folder: Path) -> None:
    (folder / "7.png").write_bytes(b"x")
    assert table(folder, [{"file": 7, "caption": "seven"}]).listing().facts["7.png"].captions == ("seven",)


def test_parquet_with_sizes_and_a_fallback(folder: Path) -> None:
    rows = [
        {"file": "one.png", "caption": "", "alt": "spare", "w": "640", "h": 480.0},
        {"file": "sub/two.png", "caption": "own", "alt": "spare", "w": None, "h": None},
    ]
    path = folder / "table.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    # Named relative to the pictures, as a table in a bucket is.
    spec = TableSpec("table.parquet", "file", ("caption",), "alt", "w", "h", identifier_includes_extension=True)
    source = TableSource(FolderSource.at(str(folder)), spec)
    assert source.listing().facts == {"one.png": Facts(("spare",), Size(640, 480)), "sub/two.png": Facts(("own",))}


def test_the_bytes_are_the_sources(folder: Path) -> None:
    source, plain = table(folder, [{"file": "one", "caption": "x"}]), FolderSource.at(str(folder))
    version = plain.version("one.png")
    assert source.where == plain.where
    with source.open("one.png") as stream:
        assert source.read("one.png") == stream.read() == b"x"
    assert source.version("one.png") == source.listing().pictures["one.png"] == version
    assert source.renamed_from(version) == plain.renamed_from(version) != ""


def test_a_table_beside_the_objects_of_a_bucket(store: Any) -> None:
    store.put({"set/a.png": b"x", "set/table.jsonl": b'{"file": "a", "caption": "from the bucket"}\n'})
    source = TableSource(store.source(prefix="set"), TableSpec("table.jsonl", "file", ("caption",)))
    assert source.listing().facts == {"a.png": Facts(("from the bucket",))}


def test_rows_that_contradict_each_other_are_named(folder: Path) -> None:
    same = {"file": "one", "caption": "a"}
    assert table(folder, [same, same]).listing().facts["one.png"].captions == ("a",)
    with pytest.raises(DataError, match=r"rows 1 and 3 say different things of one\.png"):
        table(folder, [same, {"file": "two", "caption": "b"}, {"file": "one.png", "caption": "c"}]).listing()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"file": "three.jpg", "caption": "x"}, "may be any of other/three.jpg, sub/three.jpg"),
        ({"file": None, "caption": "x"}, "row 2 has nothing"),
        ({"file": "two", "caption": "x", "w": "wide", "h": 3}, 'row 2: column "w"'),
    ],
)
def test_a_row_that_cannot_be_used_is_named(folder: Path, row: dict[str, Any], message: str) -> None:
    first = {"file": "one", "caption": "x", "w": 1, "h": 1}
    with pytest.raises(DataError, match=message) as caught:
        table(folder, [first, row], width_column="w", height_column="h").listing()
    assert str(caught.value.file).endswith("table.jsonl")
    assert caught.value.cure


def test_a_table_of_other_pictures_is_a_mistake(folder: Path) -> None:
    with pytest.raises(DataError, match=r"says \"nine\", the first picture is \"one\.png\"") as caught:
        table(folder, [{"file": "nine", "caption": "x"}]).listing()
    assert "identifier_includes_extension" in str(caught.value.cure)


def test_a_table_that_is_not_there(folder: Path) -> None:
    source = TableSource(FolderSource.at(str(folder)), TableSpec("gone.parquet", "file"))
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        source.listing()
    assert caught.value.file == "gone.parquet"


def test_rows_of_no_picture_are_counted_and_named(folder: Path) -> None:
    rows = [{"file": "one", "caption": "x"}, *({"file": f"n{number}", "caption": "x"} for number in range(7))]
    (note,) = table(folder, rows).listing().notes
    assert note == "7 of 8 rows of table.jsonl name a picture that is not here: n0, n1, n2, n3, n4 and 2 more"
    assert table(folder, rows[:1]).listing().notes == ()


def test_names_that_look_the_same_are_the_same(folder: Path) -> None:
    for name in ("cafe\u0301.png", "sub/cafe\u0301.png", "sub/ne\u0301.png"):
        (folder / name).write_bytes(b"x")
    rows = [{"file": "caf\u00e9", "caption": "coffee"}, {"file": "n\u00e9.png", "caption": "born"}]
    listing = table(folder, rows).listing()
    assert listing.notes == ()
    assert listing.facts == {"cafe\u0301.png": Facts(("coffee",)), "sub/ne\u0301.png": Facts(("born",))}
    (folder / "caf\u00e9.png").write_bytes(b"x")
    rows.append({"file": "cafe\u0301.png", "caption": "to the letter"})
    facts = table(folder, rows).listing().facts
    assert facts["caf\u00e9.png"].captions == ("coffee",)
    assert facts["cafe\u0301.png"].captions == ("to the letter",)


def test_several_columns_of_captions(folder: Path) -> None:
    path = folder.parent / "table.jsonl"
    path.write_text('{"file": "one", "short": "a", "long": ["b", "c"]}\n{"file": "two", "short": "", "long": null}\n')
    source = FolderSource.at(str(folder))
    listing = TableSource(source, TableSpec(str(path), "file", ("short", "long"))).listing()
    assert listing.facts == {"one.png": Facts(("a", "b", "c")), "sub/two.png": Facts()}
    with pytest.raises(ConfigError, match='there is no column "lang"') as caught:
        TableSource(source, TableSpec(str(path), "file", ("short", "lang"))).listing()
    assert caught.value.key == "caption_column (2)"
