"""The real questions, answered through a pipe instead of a keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from simpletuner.assemble.configure.steps import Choice
from simpletuner.assemble.configure.terminal import Terminal

DOWN, CTRL_C, CTRL_U = "\x1b[B", "\x03", "\x15"
CHOICES = [Choice("a", "first", "a note"), Choice("b", "second"), Choice("c", "third")]


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    """What is typed."""
    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
        yield typed


@pytest.mark.parametrize(("typed", "chosen"), [("\r", "b"), (f"{DOWN}\r", "c"), (f"{DOWN}{DOWN}\r", "a")])
def test_a_choice_begins_at_its_default(
    keys: PipeInput, capsys: pytest.CaptureFixture[str], typed: str, chosen: str
) -> None:
    keys.send_text(typed)
    assert Terminal().choose("Which?", CHOICES, "b") == chosen
    said = capsys.readouterr().out
    assert "Which?" in said
    assert "a note" not in said


def test_a_text_is_edited_and_judged(keys: PipeInput) -> None:
    heard: list[str] = []

    def complaint(text: str) -> str:
        heard.append(text)
        return "" if text.isdecimal() else "a number"

    keys.send_text(f"x\r{CTRL_U}12 \r")
    keys.send_text("\x7f\r")
    assert Terminal().write("How many?", "7", complaint) == "12"
    assert heard[0] == "7x"


def test_a_folder(keys: PipeInput, tmp_path: Path) -> None:
    keys.send_text(f"{tmp_path}\r")
    assert Terminal().write("Where?", "", lambda _text: "", folder=True) == str(tmp_path)


@pytest.mark.parametrize(("typed", "agreed"), [("\r", True), ("n", False), ("y", True)])
def test_yes_and_no(keys: PipeInput, typed: str, agreed: bool) -> None:
    keys.send_text(typed)
    assert Terminal().agree("Go on?", default=True) is agreed


def test_ctrl_c(keys: PipeInput) -> None:
    keys.send_text(CTRL_C)
    with pytest.raises(KeyboardInterrupt):
        Terminal().choose("Which?", CHOICES, "a")


def test_a_screen_is_not_wider_than_80(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    terminal = Terminal()
    terminal.screen("Your pictures", "3 of 19")
    terminal.show("word " * 60)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("Your pictures" in line and "3 of 19" in line for line in lines)
