from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.validation.names import benchmark_name, picture_name, safe_nickname, safe_nicknames

ODD = [
    "anime_<token>",
    "../../x",
    "con",
    "x" * 300,
    "猫" * 100,
    "🐱 cat 👨‍👩‍👧",
    "日本語",
    "",
    "...",
    "a/b",
    "a\\b",
    "\x00\x1b",
    "COM1.txt",
    "\ud83d",
]


@pytest.mark.parametrize(
    ("nickname", "name"),
    [
        ("anime_<token>", "anime_token"),
        ("cat", "cat"),
        ("a__b-c.d", "a__b-c.d"),
        ("../../x", "x"),
        ("/etc/passwd", "etc_passwd"),
        ("con", "_con"),
        ("Com1.txt", "_Com1.txt"),
        ("console", "console"),
        ("two words", "two_words"),
        ("日本語のねこ", "日本語のねこ"),
        ("🐱", "🐱"),
        ("\ud83d", "prompt"),
        ("  ", "prompt"),
    ],
)
def test_safe_nickname(nickname: str, name: str) -> None:
    assert safe_nickname(nickname, "utf-8") == name


def test_letters_that_the_file_system_cannot_write_are_replaced() -> None:
    assert safe_nickname("猫 cat", "ascii") == "cat"


def test_long_names_are_cut_and_stay_apart() -> None:
    one, other = safe_nickname("x" * 299 + "a", "utf-8"), safe_nickname("x" * 299 + "b", "utf-8")
    assert one != other
    assert len(safe_nickname("猫" * 100, "utf-8").encode()) <= 120


@given(st.text())
def test_a_safe_name_is_one_component_and_stays_as_it_is(nickname: str) -> None:
    name = safe_nickname(nickname, "utf-8")
    assert name
    assert Path(name).parts == (name,)
    assert not set(name) & set('<>:"/\\|?*\x00\n ')
    assert name.strip(". ") == name
    assert safe_nickname(name, "utf-8") == name


@given(st.lists(st.sampled_from([*ODD, "Cat", "cat", "cat_2", "CAT", "é", "e\u0301"]), max_size=12))
def test_names_differ_also_where_case_is_ignored(nicknames: list[str]) -> None:
    names = safe_nicknames(nicknames, reserved=("validation",))
    folded = [unicodedata.normalize("NFC", name.casefold()) for name in names]
    assert len({*folded, "validation"}) == len(names) + 1
    assert safe_nicknames(nicknames[:-1], reserved=("validation",)) == names[:-1][: max(0, len(nicknames) - 1)]


def test_an_earlier_name_is_kept_and_a_later_one_numbered() -> None:
    assert safe_nicknames(["cat", "Cat", "cat_2", "validation"], ["validation"]) == (
        "cat",
        "Cat_2",
        "cat_2_2",
        "validation_2",
    )


def test_the_names_that_other_programs_read() -> None:
    assert picture_name(200, "anime_token", 1, (1344, 768), "png") == "step_200_anime_token_1_1344x768.png"
    assert benchmark_name("anime_token", (64, 128)) == "anime_token_64x128.png"


@given(st.lists(st.tuples(st.sampled_from(["a", "a_1", "a_1_0", "b"]), st.integers(0, 11)), unique=True))
def test_no_two_pictures_share_a_name(pictures: list[tuple[str, int]]) -> None:
    assert len({picture_name(1, nickname, index, (8, 8), "png") for nickname, index in pictures}) == len(pictures)


@pytest.mark.parametrize("nickname", ODD)
def test_the_file_system_takes_them(nickname: str, tmp_path: Path) -> None:
    path = tmp_path / picture_name(10**7, safe_nickname(nickname), 99, (2048, 2048), "webp")
    path.touch()
    assert list(tmp_path.iterdir()) == [path]
