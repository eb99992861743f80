from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.config.lenient import (
    allowed_values,
    as_boolean,
    as_integer,
    as_number,
    as_text,
    convert,
    is_given,
)


@pytest.mark.parametrize("word", [True, "true", "TRUE", " yes ", "y", "on", "1", 1])
def test_on(word: Any) -> None:
    assert as_boolean(word) is True


@pytest.mark.parametrize("word", [False, "false", "No", "n", "off", "0", 0])
def test_off(word: Any) -> None:
    assert as_boolean(word) is False


@pytest.mark.parametrize("word", ["flase", "", "2", 2, None, [], {}, "truee"])
def test_neither_on_nor_off_names_what_is_allowed(word: Any) -> None:
    with pytest.raises(ValueError, match="allowed: true, false, yes, no, on, off, 1, 0"):
        as_boolean(word)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_from_its_text(number: float) -> None:
    assert as_number(str(number)) == number
    assert as_number(f"  {number} ") == number


@given(st.integers(min_value=-(2**53), max_value=2**53))
def test_every_whole_number_is_read_from_its_text(number: float) -> None:
    assert as_integer(str(number)) == as_integer(number) == number


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    for read in (as_number, as_integer, as_boolean):
        try:
            read(text)
        except ValueError as error:
            assert str(error).startswith("'")


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", float("nan"), True, None, [], "1,5", "0x10"])
def test_no_number(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a"):
        as_number(value)


@pytest.mark.parametrize("value", ["1.5", 1.5, "ten", False])
def test_no_whole_number(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a"):
        as_integer(value)


def test_whole_numbers_with_a_point() -> None:
    assert as_integer("20.0") == as_integer("2e1") == 20


def test_texts_and_lists_of_them() -> None:
    assert as_text("  a b ") == "a b"
    assert as_text(["1024x1024", 512]) == "1024x1024,512"
    assert as_text(True) == "true"
    with pytest.raises(ValueError, match="object"):
        as_text({})


@pytest.mark.parametrize(("value", "said"), [(None, False), ("", False), ("  ", False), (0, True), (False, True)])
def test_what_counts_as_given(value: Any, said: bool) -> None:
    assert is_given(value) is said


def test_the_type_decides() -> None:
    assert convert("3", int | None) == 3
    assert convert("3", float) == 3.0
    assert convert("3", str | None) == "3"
    assert convert("16", Literal[16, 32]) == 16
    assert convert("on", bool | None) is True
    assert allowed_values(Literal["a", "b"] | None) == ("a", "b")
    assert allowed_values(int) == ()
