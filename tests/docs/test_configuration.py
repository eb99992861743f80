"""docs/configuration.md: its four formats are one run, its lists of variables are in the order that counts."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from simpletuner.cli.main import run
from simpletuner.cli.select import select_run
from simpletuner.cli.words import parse_words
from simpletuner.config.load import LoadedRun
from simpletuner.config.reading.environment import DIFFERENT_NAMES
from simpletuner.config.reading.find import Selection, find_config
from simpletuner.config.reading.launch import VARIABLES
from simpletuner.config.reading.variables import OURS
from tests.docs.blocks import ROOT, Block, all_blocks

PAGE = "docs/configuration.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
BLOCKS = [block for block in all_blocks() if block.page == PAGE]
# What the launcher alone sets.
INNER = {"SIMPLETUNER_LAUNCHER_PIPE"}


@pytest.fixture
def folder(laid_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(shutil.copytree(laid_out, tmp_path / "folder"))
    monkeypatch.chdir(folder)
    return folder


def block(language: str) -> Block:
    """The first block of a language."""
    return next(block for block in BLOCKS if block.language == language)


def named(folder: Path, kind: str) -> LoadedRun:
    """The run of a block in the file that its format is found by."""
    place = folder / "config" / kind
    place.mkdir()
    (place / f"config.{kind}").write_text(block(kind).text)
    return select_run([f"env={kind}"], folder, {"HOME": str(folder)})[0]


def test_the_four_formats_are_one_run(folder: Path) -> None:
    of_json = named(folder, "json")
    assert of_json.config.optimizer.learning_rate == 1e-4
    command = next(command for shown in BLOCKS for command in shown.commands if "config_backend=cmd" in command)
    words = [word for word in re.findall(r"'[^']*'|\S+", command)[2:] if word != "--no-scan"]
    of_words = select_run([word.strip("'") for word in words], folder, {"HOME": str(folder)})[0]
    assert of_words.config_file is None
    for other in (named(folder, "toml"), named(folder, "env"), of_words):
        assert other.config == of_json.config
        assert other.datasets == of_json.datasets


def listed(row: str) -> list[str]:
    """The variables of a row of the table, in order."""
    (line,) = [line for line in TEXT.splitlines() if line.startswith(f"| {row} |")]
    return re.findall(r"`([A-Z_]+)`", line)


def test_the_first_variable_of_the_page_counts(folder: Path) -> None:
    names = listed("which configuration")
    for name in names:
        (folder / "config" / name.lower()).mkdir()
        shutil.copy(folder / "config" / "config.json", folder / "config" / name.lower())
    for index, name in enumerate(names):
        environ = {name: name.lower() for name in names[index:]}
        assert find_config(Selection(), folder, environ).name == name.lower()
    assert len(names) == 3


def test_the_first_variable_of_the_format_counts(folder: Path) -> None:
    names = listed("which format")
    for index in range(len(names)):
        environ = {name: "cmd" if name == names[index] else "toml" for name in names[index:]}
        assert find_config(Selection(), folder, environ).backend == "cmd"
    assert len(names) == 3


def test_the_places_of_the_page_are_the_places_tried(folder: Path) -> None:
    home, elsewhere = folder / "home", folder / "elsewhere"
    (row,) = [line for line in TEXT.splitlines() if line.startswith("| `env=fox`")]
    shown = re.findall(r"`([^` ]*fox)/`", row)
    places = [folder / "fox", folder / "config/fox", home / "config/fox", elsewhere / "fox"]
    assert shown == ["fox", "config/fox", "~/config/fox", "$SIMPLETUNER_CONFIG_DIR/fox"]
    environ = {"HOME": str(home), "SIMPLETUNER_CONFIG_DIR": str(elsewhere)}
    for place in reversed(places):
        place.mkdir(parents=True)
        shutil.copy(folder / "config" / "config.json", place)
        assert find_config(Selection(environment="fox"), folder, environ).folder == place


def test_every_variable_and_every_other_name_stands_on_the_page() -> None:
    words = re.findall(r"[A-Z_]+", TEXT)
    assert [name for name in (*OURS - INNER, *VARIABLES.values()) if name not in words] == []
    plain = " ".join(TEXT.split())
    assert [name for name, option in DIFFERENT_NAMES.items() if f"`{name}` is `{option}`" not in plain] == []


def test_the_last_word_counts() -> None:
    assert parse_words(["seed=1", "--seed=2", "--seed", "3"]).overrides == {"seed": "3"}


def test_the_mistake_of_the_tutorial_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["examples", "copy", "emoji-style", "my-style"]) == 0
    assert run(["check", "--config", "my-style/config.json", "learning_rat=1"]) == 2
    told = capsys.readouterr().err
    assert "learning_rat" in told
    assert "did you mean 'learning_rate'?" in told
