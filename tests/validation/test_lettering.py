from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.validation.lettering import drawable, font, wrap


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("a  cat\n\tsits", "a cat sits"),
        ("café — naïve ß", "cafe - naive ss"),
        ("日本語のプロンプト", "[…]"),
        ("a 猫 and 🐱 👨‍👩‍👧 here", "a […] and […] here"),
        ("<emoji> 100%", "<emoji> 100%"),
    ],
)
def test_what_the_font_lacks_is_marked(text: str, drawn: str) -> None:
    assert drawable(text) == drawn


@given(st.text(max_size=300), st.integers(60, 600), st.integers(1, 4))
def test_no_line_is_wider_than_the_picture(text: str, width: int, most: int) -> None:
    lines = wrap(text, 16, width, most)
    assert len(lines) <= most
    assert all(font(16).getlength(line) <= width for line in lines)


def test_short_text_is_whole_and_long_text_ends_in_dots() -> None:
    assert " ".join(wrap("one two three four five", 16, 80, 9)) == "one two three four five"
    assert len(wrap("one two three four five", 16, 80, 9)) > 1
    assert wrap("word " * 100, 16, 80, 2)[-1].endswith("…")
    assert "".join(wrap("x" * 100, 16, 80, 99)) == "x" * 100
    assert wrap("  ", 16, 80, 2) == []
