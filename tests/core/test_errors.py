"""Messages name file, key, reason and cure; codes are those that scripts rely on."""

from __future__ import annotations

import pytest

from simpletuner.core import errors


def test_message_has_every_part_in_order() -> None:
    error = errors.ConfigError(
        "unknown key", file="config.json", key="lerning_rate", cure="did you mean learning_rate?"
    )
    assert str(error) == "config.json: lerning_rate: unknown key\n  cure: did you mean learning_rate?"


def test_absent_parts_leave_no_trace() -> None:
    assert str(errors.DataError("no pictures")) == "no pictures"
    assert str(errors.DataError("no pictures", key="photos")) == "photos: no pictures"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ConfigError, 2),
        (errors.DataError, 3),
        (errors.OutOfMemory, 4),
        (errors.NonFiniteError, 6),
        (errors.Interrupted, 130),
        (errors.Terminated, 143),
    ],
)
def test_exit_codes(kind: type[errors.SimpletunerError], code: int) -> None:
    assert kind("x").exit_code == code
