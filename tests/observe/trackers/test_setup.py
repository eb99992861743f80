from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.core.events import Picture
from simpletuner.observe.trackers.setup import Setup, plain, reason, tag


def test_a_setup_arrives_as_it_was() -> None:
    setup = Setup("wandb", "名前", "run", "ab", "/logs", "table", 7, {"rank": 16, "text": None, "sizes": [1, 2]})
    assert setup.line().count(b"\n") == 1
    assert Setup.read(setup.line()) == setup


@pytest.mark.parametrize(
    ("name", "made"),
    [("my project", "my-project"), ("a/b#c?", "a-b-c"), ("名前", "simpletuner"), ("x" * 200, "x" * 100)],
)
def test_a_projects_name_has_letters_that_everybody_takes(name: str, made: str) -> None:
    assert plain(name) == made


def test_reasons_are_one_short_line() -> None:
    assert reason(OSError("first\n  second")) == "first second"
    assert reason(OSError()) == "OSError"
    assert len(reason(OSError("x" * 999))) < 200


def test_a_picture_is_called_by_name_and_size() -> None:
    assert tag(Picture(Path("a.png"), "cat", "a cat", 64, 48)) == "cat - 64x48"
