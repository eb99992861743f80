"""Answers and trials in a folder with real pictures."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from simpletuner.assemble.configure.answers import Answers
from simpletuner.assemble.configure.existing import Existing, read_existing
from simpletuner.assemble.configure.steps import Choice
from simpletuner.assemble.configure.suggest import Facts, complete
from simpletuner.assemble.configure.target import find_target
from simpletuner.assemble.configure.trial import Trial
from simpletuner.assemble.configure.wizard import Wizard
from simpletuner.config.reading.find import example_folder

NAMES = ("red_apple", "rocket", "pizza", "cactus", "frog", "dog_face")


def answers(**given: Any) -> Answers:
    """Answers about the folder ``cats``, suggestions where nothing is given."""
    more = given.pop("more", {})
    return complete({"pictures": "cats", **given}, Facts(), more)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with six drawings of 128 px in ``cats`` and two in ``dogs``."""
    for folder, names in (("cats", NAMES), ("dogs", ("penguin", "octopus"))):
        (tmp_path / folder).mkdir()
        for name in names:
            shutil.copy(example_folder("emoji-style") / "images" / f"{name}.png", tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trial(place: Path) -> Iterator[Trial]:
    """A trial of ``config/config.json``, whose folder is not below the working directory."""
    with tempfile.TemporaryDirectory() as folder:
        yield Trial(Path(folder), find_target(None, place), place, {"HOME": str(place)}, lambda _loaded: None)


@pytest.fixture
def begin(trial: Trial) -> Callable[..., Wizard]:
    """A wizard with some answers, on a machine without a card."""

    def wizard(existing: Existing | None = None, **given: Any) -> Wizard:
        there = existing or read_existing(trial.target, trial.cwd)
        return Wizard(trial, there, Facts(), given)

    return wizard


class Script:
    """A door with replies by question, in turn; without one the default is taken. It remembers what was shown."""

    def __init__(self, replies: Mapping[str, Sequence[Any]]) -> None:
        self._replies = {question: list(values) for question, values in replies.items()}
        self._console = Console(width=80, record=True, file=io.StringIO(), highlight=False)
        self.screens: list[str] = []
        self.asked: list[str] = []
        self.complaints: list[str] = []

    @property
    def shown(self) -> str:
        """All that was shown so far."""
        return self._console.export_text(clear=False)

    def _reply(self, question: str, default: Any) -> Any:
        self.asked.append(question)
        if len(self.asked) > 200:
            raise AssertionError("the conversation does not end")
        waiting = self._replies.get(question)
        reply = waiting.pop(0) if waiting else default
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def screen(self, title: str, place: str) -> None:
        self.screens.append(f"{title} {place}")

    def show(self, what: RenderableType) -> None:
        self._console.print(what)

    def choose(self, question: str, choices: Sequence[Choice], default: str) -> str:
        reply = str(self._reply(question, default))
        values = [choice.value for choice in choices]
        assert reply in values, f"{question} {reply} is none of {values}"
        return reply

    def write(self, question: str, default: str, complaint: Callable[[str], str], *, folder: bool = False) -> str:
        while True:
            reply = str(self._reply(question, default))
            if not (told := complaint(reply)):
                return reply
            self.complaints.append(told)

    def agree(self, question: str, *, default: bool) -> bool:
        # Whoever wants to go back says so.
        return bool(self._reply(question, True))
