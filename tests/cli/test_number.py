from __future__ import annotations

import click
import pytest

from simpletuner.cli.number import Number


def test_what_can_be_counted_with_is_a_number() -> None:
    assert Number().convert("-2.5", None, None) == -2.5
    assert Number(0).convert("1e3", None, None) == 1000


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_what_is_not_finite_is_none(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a finite number"):
        Number().convert(text, None, None)


def test_the_range_is_clicks() -> None:
    with pytest.raises(click.BadParameter, match="x>=0"):
        Number(0).convert("-1", None, None)
