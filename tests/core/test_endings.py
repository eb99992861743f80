"""What a block that fails leaves behind."""

from __future__ import annotations

import pytest

from simpletuner.core.endings import OnError


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt(), SystemExit(3)])
def test_every_error_is_told_and_passed_on(error: BaseException) -> None:
    told: list[BaseException] = []
    with pytest.raises(type(error)) as caught, OnError(told.append):
        raise error
    assert told == [error]
    assert caught.value is error


def test_a_block_that_ends_well_is_not_told_of() -> None:
    told: list[BaseException] = []
    with OnError(told.append):
        pass
    assert told == []


def test_even_what_asks_to_be_swallowed_is_passed_on() -> None:
    with pytest.raises(ValueError, match="odd"), OnError(lambda _: True):
        raise ValueError("odd")
