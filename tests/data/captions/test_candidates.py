from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.errors import ConfigError
from simpletuner.data.captions.candidates import LONGEST_TEXT, CaptionSpec, captions, composed, odd_texts, text_path
from simpletuner.data.captions.filters import Filter, read_filters
from simpletuner.data.captions.shuffle import ShuffleSpec
from simpletuner.data.entries import Refusal

TEXT = CaptionSpec("textfile")
TABLE = CaptionSpec("table")


def filters(*entries: str) -> tuple[Filter, ...]:
    return read_filters(list(entries), Path())[0]


@pytest.mark.parametrize(
    ("path", "caption"),
    [
        ("deep/a_red_car.jpg", "a red car"),
        ("v1.2_final.png", "v1.2 final"),
        ("赤い_車.webp", "赤い 車"),
        ("two\nlines.png", "two\nlines"),
        ("e\u0301_.png", "e\u0301 "),
    ],
)
def test_file_names(path: str, caption: str) -> None:
    assert captions(path, CaptionSpec("filename")) == (caption,)


@given(
    folder=st.sampled_from(["", "deep/", "v1.2/", "赤/"]),
    stem=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1),
    suffix=st.sampled_from([".png", ".JPG", ".webp"]),
)
def test_a_file_name_is_its_caption_to_the_letter(folder: str, stem: str, suffix: str) -> None:
    assert captions(f"{folder}{stem}{suffix}", CaptionSpec("filename")) == (stem.replace("_", " "),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"one caption\n", ("one caption",)),
        (b"first\r\n\r\n  second  \r\n", ("first", "second")),
        (b"\xef\xbb\xbfwith a mark", ("with a mark",)),
        ("ütf sixteen".encode("utf-16"), ("ütf sixteen",)),
        ("赤い車".encode(), ("赤い車",)),
        ("a cat\u2028on a\x0cmat, 5\x85\rnext".encode(), ("a cat\u2028on a\x0cmat, 5", "next")),
        ("big\r\nend".encode("utf-16-be").join((b"\xfe\xff", b"")), ("big", "end")),
        ("cafe\u0301 caf\u00e9".encode(), ("cafe\u0301 caf\u00e9",)),
        (b"a " * 500_000, (("a " * 500_000).strip(),)),
        (b"x" * LONGEST_TEXT, ("x" * LONGEST_TEXT,)),
        (b"tab\there \x1b[0m", ("tab\there \x1b[0m",)),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_text_files(text: bytes, expected: tuple[str, ...]) -> None:
    assert captions("a.png", TEXT, text) == expected


def test_a_text_file_can_be_one_caption() -> None:
    spec = CaptionSpec("textfile", split_lines=False)
    assert captions("a.png", spec, b"first\r\nsecond\r\n") == ("first\nsecond",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "its caption file is missing: a.b.txt"),
        (b" \r\n\n", "its caption file is empty: a.b.txt"),
        ("\u3000\t\u00a0".encode(), "empty"),
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"caf\xe9", "not UTF-8"),
        (b"\xff\xfea", "not UTF-8"),
        (b"half \xed\xa0\x80", "not UTF-8"),
        ("no mark".encode("utf-16-le"), "NUL"),
        ("wide".encode("utf-32"), "NUL"),
        (b"x" * (LONGEST_TEXT + 1), "larger than 1 MiB"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_without_a_caption_there_is_a_reason_and_a_cure(text: bytes | None, reason: str) -> None:
    found = captions("deep/a.b.png", TEXT, text)
    assert isinstance(found, Refusal)
    assert reason in found.reason
    assert found.cure


def test_the_text_file_lies_beside_the_picture() -> None:
    assert text_path("deep/a.b.png") == "deep/a.b.txt"
    assert odd_texts(["a.TXT", "a.Txt", "b.txt", "deep/c.d.tXT"]) == {"a.txt": "a.TXT", "deep/c.d.txt": "deep/c.d.tXT"}
    assert odd_texts(["cafe\u0301.txt", "caf\u00e8.TXT"]) == {
        "caf\u00e9.txt": "cafe\u0301.txt",
        "caf\u00e8.txt": "caf\u00e8.TXT",
    }
    assert composed("cafe\u0301\udce9") == "caf\u00e9\udce9"


@given(text=st.binary(max_size=40), split_lines=st.booleans())
def test_no_text_file_crashes(text: bytes, split_lines: bool) -> None:
    found = captions("a.png", CaptionSpec("textfile", split_lines=split_lines), text)
    if not isinstance(found, Refusal):
        assert found
        assert all(caption == caption.strip() != "" and caption.encode() for caption in found)


def test_a_table_gives_captions_as_they_are() -> None:
    assert captions("a.png", TABLE, given=("", "first\nsecond", " \t", "e\u0301")) == ("first\nsecond", "e\u0301")
    assert not TABLE.reads_text


@pytest.mark.parametrize(("row", "reason"), [(None, "no row"), ((), "empty"), (("", " "), "empty")])
def test_without_a_row_the_file_name_may_stand_in(row: tuple[str, ...] | None, reason: str) -> None:
    found = captions("deep/a_cat.png", TABLE, given=row)
    assert isinstance(found, Refusal)
    assert reason in found.reason
    assert found.cure
    assert captions("deep/a_cat.png", CaptionSpec("table", fallback_to_filename=True), given=row) == ("a cat",)


@pytest.mark.parametrize(
    ("path", "spec", "row"), [("a.png", TABLE, ("half \ud83d",)), ("a\udcff.png", CaptionSpec("filename"), None)]
)
def test_half_a_character_is_no_caption(path: str, spec: CaptionSpec, row: tuple[str, ...] | None) -> None:
    found = captions(path, spec, given=row)
    assert isinstance(found, Refusal)
    assert "half a character" in found.reason


def test_filters_come_first_then_shuffling_then_the_instance_prompt() -> None:
    shuffle = ShuffleSpec(count=20, position_start=1)
    spec = CaptionSpec("textfile", ("sks, b",), prepend=True, filters=filters("b, ", "sks"), shuffle=shuffle)
    found = captions("a.png", spec, b"sks a, b, c, d\nsks\nb, e")
    assert found == ("sks, b a, c, d", "sks, b a, d, c", "sks, b e")


def test_captions_that_filters_empty_are_left_out() -> None:
    spec = CaptionSpec("textfile", filters=filters("photo"))
    assert captions("a.png", spec, b"photo\nphoto of a cat") == ("of a cat",)
    found = captions("a.png", spec, b"photo\n photo  photo")
    assert isinstance(found, Refusal)
    assert "empty after caption_filter_list" in found.reason


def test_instance_prompts() -> None:
    assert captions("a.png", CaptionSpec("instanceprompt", ("sks dog",))) == ("sks dog",)
    assert captions("a.png", CaptionSpec("instanceprompt", ("one", "two"))) == ("one", "two")
    assert captions("a.png", CaptionSpec("instanceprompt", ("sks dog",), prepend=True)) == ("sks dog",)


def test_an_instance_prompt_before_every_caption() -> None:
    spec = CaptionSpec("textfile", ("sks dog",), prepend=True)
    assert captions("a.png", spec, b"runs\nsleeps") == ("sks dog runs", "sks dog sleeps")
    assert isinstance(captions("a.png", spec, None), Refusal)


def test_each_instance_prompt_before_every_caption() -> None:
    spec = CaptionSpec("table", ("one", "two"), prepend=True)
    assert captions("a.png", spec, given=("runs", "sleeps")) == ("one runs", "one sleeps", "two runs", "two sleeps")


def test_only_the_instance_prompt_needs_no_text_file() -> None:
    spec = CaptionSpec(
        "textfile", ("sks dog",), only=True, filters=filters("sks"), shuffle=ShuffleSpec(split_on="space")
    )
    assert not spec.reads_text
    assert captions("a.png", spec, None) == ("sks dog",)
    assert captions("a.png", CaptionSpec("table", ("one", "two"), only=True), given=("x",)) == ("one", "two")


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "instanceprompt"},
        {"prepend": True},
        {"only": True},
        {"only": True, "instance_prompts": ("",)},
        {"only": True, "instance_prompts": ("one", " ")},
        {"only": True, "instance_prompts": ("half \ud83d",)},
    ],
)
def test_an_instance_prompt_that_is_asked_for_must_be_there(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="instance_prompt"):
        CaptionSpec(**options)  # type: ignore[arg-type]
