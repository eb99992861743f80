from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.config.reading.environment import extra_arguments, options_of, parse_env, substitute, with_env_files
from simpletuner.core.errors import ConfigError

FILE = Path("config.env")


def test_the_syntax_of_env_files() -> None:
    text = "# note\n\nexport A=1\nB = 2\n".replace("B = 2", "B=two words") + "C='x y'\nD=\"q\"\nA+=0\nE+=/bin\nF=\n"
    assert parse_env(text, FILE, {"E": "/usr"}) == {
        "A": "10",
        "B": "two words",
        "C": "x y",
        "D": "q",
        "E": "/usr/bin",
        "F": "",
    }


def test_a_line_ends_at_a_line_break_alone() -> None:
    assert parse_env("A=one\u2028B=2\rC=s/\x0c/x/\r\nD=y\u0085z", FILE) == {
        "A": "one\u2028B=2",
        "C": "s/\x0c/x/",
        "D": "y\u0085z",
    }


def test_a_line_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"config.env:2: is not NAME=value"):
        parse_env("A=1\nnonsense\n", FILE)


def test_names_that_differ_and_extra_arguments() -> None:
    variables = {
        "MODEL_FAMILY": "omnigen",
        "DATALOADER_CONFIG": "d.json",
        "TRAINING_SEED": "3",
        "HOME": "/root",
        "TRAINER_EXTRA_ARGS": "--use_ema --lr_end=1e-8 --validation_prompt 'a cat'",
    }
    assert options_of(variables, FILE) == {
        "model_family": "omnigen",
        "data_backend_config": "d.json",
        "seed": "3",
        "--use_ema": "true",
        "--lr_end": "1e-8",
        "--validation_prompt": "a cat",
    }


@pytest.mark.parametrize("text", ["--a 'open", "word", "--a 1 2"])
def test_extra_arguments_that_make_no_sense(text: str) -> None:
    with pytest.raises(ConfigError, match="TRAINER_EXTRA_ARGS"):
        extra_arguments(text, FILE)


def test_the_process_environment_wins_and_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "config.env"
    file.write_text("A=file\nB=file\n")
    environ = {"A": "process"}
    assert with_env_files(environ, (file, tmp_path / "absent")) == {"A": "process", "B": "file"}
    assert environ == {"A": "process"}


def test_placeholders_at_any_depth() -> None:
    value = {"a": ["{env:X}/{id}", 1], "b": {"c": "{env:UNSET}-{other}"}}
    assert substitute(value, {"X": "x"}, {"id": "me"}) == {"a": ["x/me", 1], "b": {"c": "-{other}"}}
