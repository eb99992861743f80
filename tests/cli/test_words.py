from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.cli.words import CHECK, parse_words
from simpletuner.config.reading.find import Selection
from simpletuner.core.errors import ConfigError


@pytest.mark.parametrize("words", [["env=cats"], ["--env", "cats"], ["--env=cats"], ["env=dogs", "--env", "cats"]])
def test_an_environment(words: list[str]) -> None:
    assert parse_words(words).selection == Selection(environment="cats")


@pytest.mark.parametrize("words", [["-e", "emoji"], ["--example", "emoji"], ["example=emoji"]])
def test_an_example(words: list[str]) -> None:
    assert parse_words(words).selection == Selection(example="emoji")


def test_a_file_and_a_format() -> None:
    words = parse_words(["--config", "a b/c.json", "config_backend=json"])
    assert words.selection == Selection(config_file=Path("a b/c.json"), backend="json")


@pytest.mark.parametrize(
    ("words", "overrides"),
    [
        (["learning_rate=5e-5", "--seed=1"], {"learning_rate": "5e-5", "seed": "1"}),
        (["--learning_rate", "5e-5", "seed=1"], {"learning_rate": "5e-5", "seed": "1"}),
        (["--report-to=none"], {"report_to": "none"}),
        (["--use_ema"], {"use_ema": "true"}),
        (["use_ema"], {"use_ema": "true"}),
        (["--use_ema", "false"], {"use_ema": "false"}),
        (["--use_ema", "seed=1"], {"use_ema": "true", "seed": "1"}),
        (["--use_ema", "--seed", "-1"], {"use_ema": "true", "seed": "-1"}),
        (["--validation_prompt", "x=y of a cat"], {"validation_prompt": "x=y of a cat"}),
        (["tracker_run_name=training experiment 1"], {"tracker_run_name": "training experiment 1"}),
        (["validation_prompt="], {"validation_prompt": ""}),
        (["seed=1", "seed=2"], {"seed": "2"}),
        (["--unknown", "7", "--other"], {"unknown": "7", "other": "true"}),
    ],
)
def test_options(words: list[str], overrides: Any) -> None:
    assert parse_words(words).overrides == overrides


def test_fresh_is_a_switch_of_the_command() -> None:
    assert parse_words(["--fresh", "seed=1"]).switches == {"fresh"}
    assert parse_words(["--fresh", "fresh=false"]).switches == set()
    assert parse_words(["--fresh"]).overrides == {}


@pytest.mark.parametrize("words", [["--learning_rate"], ["--env"], ["--seed", "--use_ema"], ["learning_rate", "1"]])
def test_a_value_that_is_missing(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"command line: \w+: needs a value"):
        parse_words(words)


def test_no_option_at_all() -> None:
    with pytest.raises(ConfigError, match="'--=3' is no option"):
        parse_words(["--=3"])


@pytest.mark.parametrize(
    ("words", "switches", "values"),
    [
        (["--deep", "--json", "seed=1"], {"deep", "json"}, {}),
        (["--html", "a b.html", "--deep", "true", "seed=1"], {"deep"}, {"html": "a b.html"}),
        (["--html=a.html", "--deep", "--no_such", "1", "seed=1", "--deep=false"], set(), {"html": "a.html"}),
    ],
)
def test_check_has_words_of_its_own(words: list[str], switches: Any, values: Any) -> None:
    found = parse_words(words, CHECK)
    assert (found.switches, found.values, found.overrides["seed"]) == (switches, values, "1")


def test_the_words_of_one_command_are_no_words_of_another() -> None:
    assert parse_words(["--deep", "--html", "x"]).overrides == {"deep": "true", "html": "x"}
    assert parse_words(["--fresh"], CHECK).overrides == {"fresh": "true"}
    with pytest.raises(ConfigError, match="html: needs a value"):
        parse_words(["--html", "--deep"], CHECK)
