from __future__ import annotations

import pytest

from simpletuner.data.sources.kinds import FOREIGN_SUFFIXES, PICTURE_SUFFIXES, Sorter, is_below_hidden, sample, suffix


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.JPG", ".jpg"), ("a.b.Png", ".png"), ("none", ""), ("a.", "."), ("x/y.z/a", ".z/a")],
)
def test_a_suffix(name: str, expected: str) -> None:
    assert suffix(name) == expected


def test_any_part_of_a_path_can_hide_it() -> None:
    assert is_below_hidden("a/.git/b.png")
    assert is_below_hidden("__MACOSX/b.png")
    assert not is_below_hidden("a/b.c/d.png")


def test_files_are_sorted_by_kind_and_name() -> None:
    sorter = Sorter({"b.png": "2", "a.PNG": "1", "a.txt": "3", "x.heic": "4", "notes.md": "5", "bad\udcff.png": "6"})
    sorter.drop("gone.png", "it is gone", "look for it")
    listing = sorter.listing()
    assert list(listing.pictures.items()) == [("a.PNG", "1"), ("b.png", "2")]
    assert listing.texts == {"a.txt": "3"}
    assert [(item.file, item.reason) for item in listing.dropped] == [
        ("gone.png", "it is gone"),
        ("bad\\udcff.png", "its name is not valid UTF-8"),
        ("x.heic", ".heic files are not supported"),
    ]


def test_a_sample_says_how_many_it_leaves_out() -> None:
    assert sample(["a", "b"]) == "a, b"
    assert sample([str(number) for number in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"


def test_other_files_are_counted_by_kind_and_what_lies_beside_pictures_is_not() -> None:
    sorter = Sorter({"a.png": "1"})
    for name in ("x/tw.jpg_large", "a", "b.d/c", "b", "clip.mp4", "Photo 1. Mai", "bad.\udcff"):
        sorter.pass_over(name)
    for name in ("table.parquet", "x/notes.md", "LICENSE", "Thumbs.db", "folder/"):
        sorter.pass_over(name)
    (note,) = sorter.listing().notes
    kinds = "no suffix (4), .\\udcff (1), .jpg_large (1), .mp4 (1)"
    assert note.startswith(f"7 other files passed over: {kinds}; a picture among them needs the suffix")
    assert Sorter({"a.png": "1"}).listing().notes == ()


def test_no_kind_is_two_things() -> None:
    assert not PICTURE_SUFFIXES & FOREIGN_SUFFIXES
    assert all(kind == suffix(f"a{kind}") for kind in PICTURE_SUFFIXES | FOREIGN_SUFFIXES)
    assert {".mpo", ".dib"} < PICTURE_SUFFIXES
    assert {".ppm", ".j2k", ".arw", ".cr3"} < FOREIGN_SUFFIXES
