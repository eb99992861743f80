"""What TAB offers: asked of click, and by bash itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simpletuner.cli.completion import SHELLS, complete, script
from simpletuner.cli.main import cli, run
from simpletuner.config.run import OPTIONS
from simpletuner.core.errors import ConfigError

# What readline does: it calls the function with the line, and shows what it put into COMPREPLY.
_ASK = """
compopt() { echo "compopt $*"; }
source ./completion.bash
COMP_WORDBREAKS="$2"
COMP_LINE="$1"
COMP_POINT=${#1}
_simpletuner_completion ./simpletuner
printf '%s\\n' "${COMPREPLY[@]}"
"""
_WORDBREAKS = " \t\n\"'><=;|&(:"


def offered(command: str, incomplete: str, folder: Path, *before: str) -> list[str]:
    return [item.value for item in complete(command, before, incomplete, folder)]


def test_options_and_selectors(tmp_path: Path) -> None:
    assert offered("train", "lear", tmp_path) == ["learning_rate="]
    assert offered("train", "--lear", tmp_path) == ["--learning_rate="]
    assert offered("train", "--learning-ra", tmp_path) == ["--learning_rate="]
    every = offered("train", "", tmp_path)
    assert {f"{name}=" for name in OPTIONS} | {"env=", "config=", "example=", "config_backend="} == set(every)
    assert len(every) == len(set(every))


def test_switches_are_those_of_the_command(tmp_path: Path) -> None:
    assert offered("check", "--no", tmp_path)[0] == "--no-scan"
    assert offered("check", "--ht", tmp_path) == ["--html="]
    assert offered("train", "--fre", tmp_path) == ["--fresh"]
    assert offered("cache", "--pru", tmp_path) == ["--prune"]
    assert "--fresh" not in offered("check", "--", tmp_path)


def test_values(tmp_path: Path) -> None:
    assert offered("train", "use_ema=", tmp_path) == ["use_ema=true", "use_ema=false"]
    assert offered("train", "model_type=f", tmp_path) == ["model_type=full"]
    assert offered("train", "learning_rate=", tmp_path) == []
    assert offered("train", "nonsense=", tmp_path) == []
    assert offered("train", "config_backend=t", tmp_path) == ["config_backend=toml"]
    assert offered("train", "example=emoji-su", tmp_path) == ["example=emoji-subject"]
    (item,) = complete("train", (), "config=x", tmp_path)
    assert item.type == "file"


def test_a_value_behind_its_option_as_a_word_of_its_own(tmp_path: Path) -> None:
    assert offered("train", "l", tmp_path, "seed=1", "--model_type") == ["lora"]
    assert offered("train", "lear", tmp_path, "--seed") == ["learning_rate="]
    assert offered("train", "use_em", tmp_path, "seed=1") == ["use_ema="]


def test_configurations_in_the_folder(tmp_path: Path) -> None:
    for name, file in (("cats", "config.json"), ("dogs", "config.toml"), ("empty", "notes.txt")):
        (tmp_path / "config" / name).mkdir(parents=True)
        (tmp_path / "config" / name / file).touch()
    assert offered("train", "env=", tmp_path) == ["env=cats", "env=dogs"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    told = capsys.readouterr().out
    assert "_SIMPLETUNER_COMPLETE" in told
    assert "_simpletuner_completion" in told


def test_another_shell() -> None:
    assert run(["completion", "tcsh"]) == 2
    with pytest.raises(ConfigError, match="bash, zsh, fish"):
        script("tcsh", cli)


@pytest.mark.needs("bash")
def test_bash_completes(tmp_path: Path) -> None:
    (tmp_path / "completion.bash").write_text(script("bash", cli), encoding="utf-8")
    command = tmp_path / "simpletuner"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m simpletuner "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    (tmp_path / "config" / "cats").mkdir(parents=True)
    (tmp_path / "config" / "cats" / "config.json").touch()

    def ask(line: str, breaks: str = _WORDBREAKS) -> list[str]:
        words = ["bash", "-c", _ASK, "bash", line, breaks]
        result = subprocess.run(words, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True)
        return result.stdout.splitlines()

    assert ask("simpletuner trai") == ["train"]
    assert ask("simpletuner train lear") == ["compopt -o nospace", "learning_rate="]
    assert ask("simpletuner train --mixed-precision=b") == ["bf16"]
    assert ask("simpletuner train --mixed_precision=b", " ") == ["--mixed_precision=bf16"]
    assert ask("simpletuner train env=") == ["cats"]
    assert ask('simpletuner train validation_prompt="a = b" use_ema=t') == ["true"]
