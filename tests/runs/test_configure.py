"""The wizard in a real terminal: somebody types, looks at the screen, and trains with what was written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simpletuner.cli.main import run
from simpletuner.config.reading.find import example_folder

TMUX = shutil.which("tmux") or "tmux"
PATIENCE = 60


class Screen:
    """A terminal of 80 x 30 in a server of its own."""

    def __init__(self, folder: Path, socket: Path, *words: str) -> None:
        self._socket = socket
        nothing = folder / "no-programs"
        nothing.mkdir()
        settings = {"PATH": str(nothing), "HOME": str(folder), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        variables = [f"{name}={value}" for name, value in settings.items()]
        self._status = folder / "exit-status"
        noting = ["/bin/sh", "-c", 'trap : INT; "$@"; echo $? >"$0"', str(self._status)]
        command = [*noting, "/usr/bin/env", *variables, sys.executable, "-m", "simpletuner", "configure", *words]
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", "80", "-y", "30", "-c", str(folder), *command)
        self._tmux("set-option", "-g", "remain-on-exit", "on")

    def _tmux(self, *words: str) -> str:
        command = [TMUX, "-S", str(self._socket), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    def text(self) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p")

    def exit_status(self) -> str:
        """What the command ended with, once it has. Its own shell says so: tmux sometimes never hears of the end."""
        end = time.monotonic() + PATIENCE
        while not (self._status.exists() and self._status.read_text().endswith("\n")):
            assert time.monotonic() < end, "the command has not ended"
            time.sleep(0.05)
        return self._status.read_text().strip()

    def wait(self, *wanted: str) -> str:
        """The screen as soon as it shows all that is wanted."""
        end = time.monotonic() + PATIENCE
        while not all(word in (text := self.text()) for word in wanted):
            assert time.monotonic() < end, f"{wanted} did not come:\n{text}"
            time.sleep(0.05)
        return text

    def type(self, *keys: str) -> None:
        """Press keys, by tmux's names, or type a text."""
        self._tmux("send-keys", *keys)

    def answer(self, question: str, *keys: str) -> str:
        """Wait for a question, answer it, and return the screen as it was."""
        text = self.wait(question)
        self.type(*keys, "Enter")
        return text

    def end(self) -> None:
        """Close it, and whatever runs in it."""
        self._tmux("kill-server")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with 24 flat drawings."""
    shutil.copytree(example_folder("emoji-style") / "images", tmp_path / "datasets" / "flat")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def screen(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    """The wizard, just started."""
    opened = Screen(folder, tmp_path_factory.mktemp("tmux") / "socket")
    yield opened
    opened.end()


def walk(screen: Screen) -> None:
    """Answer every question, one of them wrong at first."""
    screen.answer("Which card trains?", "Up", "Up")
    screen.answer("What do you teach?", "Down")
    screen.answer("Where are they?", "datasets/nothing")
    screen.wait("there is no folder 'datasets/nothing'")
    screen.answer("Where are they?", "C-u", "datasets/flat")
    assert "24 of 24 are used (flat)" in screen.answer("Go on with this?")
    assert "24 a name with words in it" in screen.answer("What says what a picture shows?")
    screen.answer("Go on with this?")
    screen.answer("Which words?", "flat drawing")
    screen.answer("How large, in pixels?", "C-u", "64")
    assert "64x64" in screen.answer("Go on with this?")
    screen.answer("What becomes of their shapes?")
    screen.answer("Go on with this?")
    screen.answer("Pictures in one step?", "C-u", "2")
    screen.answer("What is trained?")
    assert "42.5 M values, 85 MB, 11% + 89%; as in the OmniGen quickstart" in screen.answer("Which factor?")
    screen.answer("How many steps?", "C-u", "300")
    screen.answer("Which rate?")
    screen.answer("Which prompt?")
    screen.answer("How often?")
    screen.answer("Which sizes?")
    screen.answer("Where are they?")
    screen.answer("Which folder?")
    screen.answer("Who shows them?")
    screen.answer("Which repository?")


@pytest.mark.needs("tmux")
@pytest.mark.long
def test_from_questions_to_an_adapter(screen: Screen, folder: Path) -> None:
    walk(screen)
    last = screen.answer("What now?")
    assert "datasets/flat  (24 pictures)" in last
    screen.wait("wrote", "simpletuner check", "simpletuner train")
    options = json.loads((folder / "config" / "config.json").read_text(encoding="utf-8"))
    assert (options["train_batch_size"], options["max_train_steps"], options["base_model_precision"]) == (
        2,
        300,
        "no_change",
    )
    (entry, _text) = json.loads((folder / "config" / "multidatabackend.json").read_text(encoding="utf-8"))
    assert (entry["resolution"], entry["instance_prompt"]) == (64, "flat drawing")
    assert run(["check"]) == 0
    words = ("model_flavour=tiny", "max_train_steps=1", "validation_num_inference_steps=1", "disable_benchmark=true")
    assert run(["train", *words]) == 0
    assert (folder / "output" / "flat" / "pytorch_lora_weights.safetensors").is_file()


@pytest.mark.needs("tmux")
def test_a_screen_has_one_idea_and_ctrl_c_leaves(screen: Screen, folder: Path) -> None:
    text = screen.wait("Which card trains?", "24 GB")
    lines = text.rstrip().splitlines()
    assert lines[0].startswith(" Your GPU")
    assert lines[0].endswith("1 of 19")
    assert len(lines) <= 24
    screen.answer("Which card trains?")
    assert "Which card" not in screen.wait("What do you teach?")
    screen.type("C-c")
    screen.wait("left; nothing was written")
    assert screen.exit_status() == "130"
    assert not (folder / "config").exists()
