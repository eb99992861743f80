from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.errors import ConfigError
from simpletuner.data.captions.filters import apply_filters, read_filters


def filtered(caption: str, *entries: str) -> str:
    filters, notes = read_filters(list(entries), Path())
    assert not notes
    return apply_filters(caption, filters)


@pytest.mark.parametrize(
    ("caption", "entry", "expected"),
    [
        ("a photo of a photo", "photo", "a of a"),
        ("photograph", "photo", "graph"),
        ("a photo, a cat", "photo, ", "a a cat"),
        ("cat (stock)", "cat (stock)", ""),
        ("a cat stock", "cat (stock)", "a"),
        ("c++ code", "c++", "ode"),
        ("photo a photo", "^photo", "a photo"),
        ("a cat, 4k, 8k", r", \dk", "a cat"),
        ("A Photo a photo", "(?i)photo", "A a"),
        ("a/b", "a/b", ""),
        ("x", "y", "x"),
        ("a.b a,b", "a.b", ""),
        ("赤い 車 です", "車", "赤い です"),
    ],
)
def test_what_is_removed(caption: str, entry: str, expected: str) -> None:
    assert filtered(caption, entry) == expected


@pytest.mark.parametrize(
    ("caption", "entry", "expected"),
    [
        ("a cat and a cat", "s/cat/dog/", "a dog and a dog"),
        ("a cat and a cat", "s/cat/dog", "a dog and a dog"),
        ("a cat and a cat", "s/cat/dog/g", "a dog and a dog"),
        ("red cat", r"s/(\w+) cat/\1 dog/", "red dog"),
        ("w/ hat", r"s/w\//with/", "with hat"),
        ("with hat", r"s/with/w\/", "w/ hat"),
        ("with hat", r"s/with/w\//", "w/ hat"),
        ("a  cat", "s/cat//", "a"),
        ("a cat b", "s/cat//", "a b"),
        ("a cat b", "s/cat/ /", "a   b"),
        ("a b", "s/ /  /", "a  b"),
        ("s//x/ a", "s//x/", "a"),
        ("is/a/b/c/d", "s/a/b/c/d", "i"),
    ],
)
def test_what_is_replaced(caption: str, entry: str, expected: str) -> None:
    assert filtered(caption, entry) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a X b", "a b"),
        ("a  X   b", "a b"),
        ("a X X b", "a b"),
        ("aX b", "a b"),
        ("a  b X c", "a  b c"),
        ("aXb", "ab"),
        ("X", ""),
        (" a ", "a"),
        ("a\nX\nb", "a\n\nb"),
    ],
)
def test_spaces_are_collapsed_only_where_something_was_removed(caption: str, expected: str) -> None:
    assert filtered(caption, "X") == expected
    assert filtered(caption, "X*") == expected


def test_entries_work_one_after_another() -> None:
    assert filtered("a b c", "s/a/b/", "s/b/c/", "c c ") == "c"


def test_what_is_no_expression_is_plain_text_and_noted() -> None:
    filters, notes = read_filters(["[stock", r"s/[a/\1/", r"s/(b)/\7/", "fine", "a{99999999999}"], Path())
    assert apply_filters(r"[stock [a b fine c a{99999999999}", filters) == r"\1 \7 c"
    assert [note.partition('"')[2].partition('" is')[0] for note in notes] == [
        "[stock",
        r"s/[a/\1/",
        r"s/(b)/\7/",
        "a{99999999999}",
    ]
    assert all("plain text" in note for note in notes)


def test_a_list_in_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("\ufeffphoto \r\n\r\n  \ns/cat/dog/\n".encode())
    filters, notes = read_filters("list.txt", tmp_path)
    assert [item.entry for item in filters] == ["photo ", "s/cat/dog/"]
    assert not notes
    assert read_filters(str(tmp_path / "list.txt"), Path("/elsewhere")) == (filters, notes)


def test_a_list_in_a_json_file(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('["photo", "", "s/cat/dog/"]')
    filters, _ = read_filters("list.json", tmp_path)
    assert [item.entry for item in filters] == ["photo", "s/cat/dog/"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("gone.txt", None, "is no file"),
        ("list.csv", b"a", "neither .txt nor .json"),
        ("list.txt", b"caf\xe9", "not UTF-8"),
        ("list.json", b"[", "no JSON"),
        ("list.json", b"[" * 100_000, "no JSON"),
        ("list.json", b'{"a": 1}', "no list of texts"),
        ("list.json", b'["a", 1]', "no list of texts"),
        ("list.json", b'"a"', "no list of texts"),
        ("n" * 300 + ".txt", None, "cannot be read|no file"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_list_that_cannot_be_read_names_file_and_key(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        read_filters(name, tmp_path)
    assert (caught.value.file, caught.value.key) == (tmp_path / name, "caption_filter_list")
    assert caught.value.cure


@pytest.mark.parametrize("value", [None, 3, {"a": 1}, ["a", None], b"ab"])
def test_a_value_that_is_no_list_is_an_error(value: object) -> None:
    with pytest.raises(ConfigError, match="caption_filter_list: is no list"):
        read_filters(value, Path())


PATTERNS = st.one_of(st.text(max_size=8), st.text("ab s/\\()[]{}*+?|^$.1-,", max_size=12))


@given(caption=st.text(max_size=60) | st.text("ab ,.", max_size=60), entries=st.lists(PATTERNS, max_size=5))
def test_no_caption_and_no_entry_crash(caption: str, entries: list[str]) -> None:
    filters, notes = read_filters(entries, Path())
    found = apply_filters(caption, filters)
    assert found == found.strip()
    assert len(filters) == sum(bool(entry) for entry in entries)
    assert len(notes) <= len(filters)


@given(caption=st.text("ab ", max_size=40))
def test_a_removed_word_is_gone_and_nothing_else(caption: str) -> None:
    found = filtered(caption, "b")
    assert found.replace(" ", "") == caption.replace("b", "").replace(" ", "")


def test_a_long_caption_takes_no_long_time() -> None:
    assert filtered("a b " * 250_000, "a") == "b " * 249_999 + "b"
