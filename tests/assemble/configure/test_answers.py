from __future__ import annotations

import re
from pathlib import Path

import pytest

from simpletuner.assemble.configure.answers import ALIASES, NAMES, parse, parse_words, typed
from simpletuner.cli.help import CONFIGURE_HELP
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.run import OPTIONS
from simpletuner.core.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("card", "24", "24"),
        ("batch", " 4 ", 4),
        ("learning_rate", "4e-5", 4e-5),
        ("resolution", "both", "both"),
        ("resolution", "768", "768"),
        ("factor", "16/8", "16/8"),
        ("draw", "1024x1024,1280x768", "1024x1024,1280x768"),
        ("draw", "1", "1"),
        ("reports", "wandb, tensorboard", "wandb,tensorboard"),
        ("reports", "", "none"),
        ("words", " a blip ", "a blip"),
    ],
)
def test_an_answer(name: str, text: str, value: object) -> None:
    assert parse(name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("card", "23", "one of: 6, 8"),
        ("teach", "subjekt", "did you mean 'subject'?"),
        ("batch", "many", "1 or more"),
        ("batch", "0", "too few"),
        ("steps", "-5", "too few"),
        ("learning_rate", "0", "above 0"),
        ("learning_rate", "nan", "above 0"),
        ("resolution", "tiny", "1024, 512, both"),
        ("resolution", "8", "from 32"),
        ("factor", "0", "16/8"),
        ("factor", "16/0", "16/8"),
        ("draw", "1000x1024", "992 or 1008"),
        ("draw", "large", "1024x1024"),
        ("reports", "tensorbord", "did you mean 'tensorboard'?"),
    ],
)
def test_no_answer(name: str, text: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(name, text)
    assert caught.value.key == name
    assert word in str(caught.value)


def test_words_are_answers_or_options() -> None:
    words = {
        "pictures": "cats",
        "--train-batch-size": "4",
        "max_train_steps": "9",
        "use_ema": "true",
        "ema_decay": "0.9",
    }
    given, more = parse_words(words)
    assert given == {"pictures": "cats", "batch": 4, "steps": 9}
    assert more == {"use_ema": True, "ema_decay": 0.9}


def test_a_former_name_is_the_option() -> None:
    assert parse_words({"validation_steps": "7"}) == ({"previews": 7}, {})


@pytest.mark.parametrize(
    ("word", "cure"),
    [("pictur", "'pictures'"), ("learning_rat", "'learning_rate'"), ("lr", "'learning_rate'"), ("qqq", "answers are")],
)
def test_an_unknown_word(word: str, cure: str) -> None:
    with pytest.raises(ConfigError, match="neither an answer nor an option") as caught:
        parse_words({word: "1"})
    assert cure in str(caught.value.cure)
    assert caught.value.file == "command line"


def test_a_wrong_word_is_named_as_it_was_written() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_words({"train_batch_size": "x"})
    assert (caught.value.key, caught.value.reason) == ("train_batch_size", "'x' is no whole number")


def test_options_are_typed_as_json_has_them() -> None:
    found = (
        typed("seed", "7"),
        typed("use_ema", "True"),
        typed("lora_dropout", "1e-1"),
        typed("tracker_run_name", "7"),
    )
    assert found == (7, True, 0.1, "7")
    assert typed("seed", "many") == "many"


def test_the_page_and_the_help_name_every_answer() -> None:
    page = (Path(__file__).parents[3] / "docs" / "configure.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| [^|]*\| [^|]*\|$", page, re.MULTILINE) == list(NAMES)
    assert CONFIGURE_HELP.partition("Answers: ")[2].partition(".")[0].split() == list(NAMES)


def test_aliases_are_options_and_answers() -> None:
    assert set(ALIASES.values()) <= set(NAMES)
    assert set(ALIASES) <= {*OPTIONS, *DatasetConfig.model_fields}
