from __future__ import annotations

import pytest

from simpletuner.data.sources.kinds import Sorter, is_below_hidden, sample, suffix


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
