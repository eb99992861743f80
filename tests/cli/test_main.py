from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner import __version__
from simpletuner.cli.main import run


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert "train" in text
    assert "examples" in text


def test_the_help_of_train_has_every_selector_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["train", "--help"], ["train", "env=x", "--help"], ["-h"]):
        assert run(words) == 0
    text = capsys.readouterr().out
    for told in ("--config FILE", "--fresh", "learning_rate=NUMBER", "Required.", "(not read in this version)"):
        assert told in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tran"], "Did you mean 'train'"),
        (["examples", "copy"], "Missing argument"),
        (["--nonsense"], "No such option"),
    ],
)
def test_usage_errors_are_exit_code_2(capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    assert run(words) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("words", [["env=absent"], ["--env", "absent"], ["train", "env=absent"], ["--env=absent"]])
def test_the_short_form_is_train(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    assert "error: there is no configuration named 'absent'" in capsys.readouterr().err
