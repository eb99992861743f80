from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.data.entries import PictureError
from simpletuner.data.files.headers import read_header
from simpletuner.data.places.geometry import Size
from simpletuner.data.sources.base import Facts
from simpletuner.data.sources.hub import HubFilter, HubSource, HubSpec

Open = Callable[..., HubSource]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Writes rows as a data set in parquet and opens it."""

    def opener(rows: list[dict[str, Any]], **facts: Any) -> HubSource:
        folder = tmp_path / "owner" / "set"
        folder.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "train-00000.parquet")
        return HubSource(HubSpec(str(folder), cache_dir=str(tmp_path / "cache"), **facts))

    return opener


@pytest.fixture
def rows(pictures: Any) -> list[dict[str, Any]]:
    """Twelve rows: pictures 10, 11 ... wide with captions in every form."""
    return [
        {
            "image": {"bytes": pictures.encoded(pictures.gradient(10 + number, 5)), "path": None},
            "text": f"caption {number}" if number else "",
            "alt": ["spare", "another"],
            "meta": {"en": f"inner {number}", "score": number / 10},
            "w": str(10 + number),
            "h": 5,
            "collection": "even" if number % 2 == 0 else "odd",
        }
        for number in range(12)
    ]


def test_rows_are_files_with_captions_and_sizes(opened: Open, rows: list[dict[str, Any]]) -> None:
    source = opened(rows, caption_columns=("text",), fallback_caption_column="alt", width_column="w", height_column="h")
    listing = source.listing()
    assert list(listing.pictures) == sorted(f"{number}.jpg" for number in range(12))
    assert listing.facts["0.jpg"] == Facts(("spare", "another"), Size(10, 5))
    assert listing.facts["11.jpg"] == Facts(("caption 11",), Size(21, 5))
    assert source.read("3.jpg") == rows[3]["image"]["bytes"]
    assert {path: source.version(path) for path in listing.pictures} == listing.pictures
    assert source.version("12.jpg") == source.version("x.jpg") == source.version("0.png") == ""
    assert source.renamed_from(listing.pictures["0.jpg"]) == ""
    assert source.where.endswith("owner/set")


def test_several_and_dotted_caption_columns(opened: Open, rows: list[dict[str, Any]]) -> None:
    facts = opened(rows, caption_columns=("text", "meta.en")).listing().facts
    assert facts["0.jpg"].captions == ("inner 0",)
    assert facts["1.jpg"].captions == ("caption 1", "inner 1")


def test_pictures_are_read_from_several_threads_without_a_listing(opened: Open, rows: list[dict[str, Any]]) -> None:
    source = opened(rows)

    def width(number: int) -> int:
        with source.open(f"{number}.jpg") as stream:
            return read_header(stream).size.width

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(width, range(12))) == list(range(10, 22))


def test_the_version_follows_the_files_and_the_split(opened: Open, rows: list[dict[str, Any]]) -> None:
    before = opened(rows).listing().pictures
    assert opened(rows, split="train[2:]").listing().pictures["0.jpg"] != before["0.jpg"]
    assert HubSource(opened(rows)._spec).listing().pictures.keys() == before.keys()
    changed = [{**row, "image": rows[0]["image"]} for row in rows]
    assert opened(changed).listing().pictures["1.jpg"] != before["1.jpg"]


def test_a_second_start_knows_the_versions(opened: Open, rows: list[dict[str, Any]]) -> None:
    source = opened(rows)
    assert HubSource(source._spec).listing() == source.listing()


def test_the_filter_says_what_it_leaves_out(opened: Open, rows: list[dict[str, Any]]) -> None:
    rule = HubFilter(
        min_width=12,
        quality_column="meta",
        quality_thresholds={"score": 0.5},
        collection=("even",),
    )
    listing = opened(rows, width_column="w", height_column="h", filter=rule).listing()
    assert sorted(listing.pictures) == ["10.jpg", "6.jpg", "8.jpg"]
    reasons = {item.file: item.reason for item in listing.dropped}
    assert "10x5 is below 12x0" in reasons["0.jpg"]
    assert "another collection" in reasons["3.jpg"]
    assert "score is 0.4" in reasons["4.jpg"]
    assert len(listing.pictures) + len(reasons) == 12


def test_a_filter_by_size_needs_sizes(opened: Open, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match="needs sizes"):
        opened(rows, filter=HubFilter(min_width=12)).listing()


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        ({"image_column": "picture"}, "image_column"),
        ({"image_column": "w"}, "image_column"),
        ({"caption_columns": ("text", "title")}, "caption_column (2)"),
        ({"split": "test"}, "huggingface"),
    ],
)
def test_what_is_not_in_the_data_set_is_named(
    opened: Open, rows: list[dict[str, Any]], facts: dict[str, Any], key: str
) -> None:
    if facts == {"image_column": "w"}:
        rows = [{**row, "w": 10} for row in rows]
    with pytest.raises(ConfigError) as caught:
        opened(rows, **facts).listing()
    assert caught.value.key == key
    assert caught.value.cure


def test_a_side_that_is_no_number_names_its_row(opened: Open, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match='row 7: column "w"'):
        opened([*rows[:7], {**rows[7], "w": "wide"}], width_column="w", height_column="h").listing()


def test_a_row_without_a_picture(opened: Open, rows: list[dict[str, Any]]) -> None:
    source = opened([*rows, {**rows[0], "image": None}])
    assert "12.jpg" in source.listing().pictures
    with pytest.raises(PictureError, match="is empty"):
        source.read("12.jpg")
    with pytest.raises(PictureError, match="no such row"):
        source.read("13.jpg")
    with pytest.raises(OSError, match="no such row"):
        source.open("13.jpg")


def test_a_row_reads_no_file_of_the_machine(opened: Open, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    own = tmp_path / "owner" / "set" / "own.png"
    foreign = tmp_path / "foreign.png"
    foreign.write_bytes(b"foreign")
    paths = [str(foreign), f"{own.parent}/../../foreign.png", "/etc/passwd", str(own)]
    source = opened([*rows, *({**rows[0], "image": {"bytes": None, "path": path}} for path in paths)])
    own.write_bytes(b"own")
    for number in (12, 13, 14):
        with pytest.raises(PictureError, match="holds no bytes"):
            source.read(f"{number}.jpg")
    assert source.read("15.jpg") == b"own"


def test_a_folder_of_pictures_with_their_captions(tmp_path: Path, pictures: Any) -> None:
    for number in range(3):
        pictures.write(tmp_path / "set" / "train" / f"{number}.png", 8 + number, 6)
    names = [f"{number}.png" for number in range(3)]
    lines = "".join(f'{{"file_name": "{name}", "text": "of {name}"}}\n' for name in names)
    (tmp_path / "set" / "train" / "metadata.jsonl").write_text(lines)
    source = HubSource(HubSpec(str(tmp_path / "set"), caption_columns=("text",), cache_dir=str(tmp_path / "cache")))
    assert source.listing().facts["2.jpg"].captions == ("of 2.png",)
    assert source.read("2.jpg") == (tmp_path / "set" / "train" / "2.png").read_bytes()


def test_code_that_comes_with_a_data_set_never_runs(opened: Open, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    source = opened(rows)
    folder = tmp_path / "owner" / "set"
    (folder / "set.py").write_text(f"open({os.fspath(tmp_path / 'ran')!r}, 'w')\n")
    try:
        source.listing()
    except ConfigError as error:
        assert error.cure
    assert not (tmp_path / "ran").exists()


def test_a_data_set_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        HubSource(HubSpec("nobody/nothing", cache_dir=str(tmp_path))).listing()
    assert caught.value.file == "nobody/nothing"
    with pytest.raises(ConfigError, match="no such data set") as caught:
        HubSource(HubSpec(str(tmp_path / "gone"), cache_dir=str(tmp_path))).listing()
    assert caught.value.key == "dataset_name"
