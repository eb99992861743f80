from __future__ import annotations

from typing import Any

import pytest

from simpletuner.assemble.configure.files import files_of
from simpletuner.assemble.configure.more import ask_more
from simpletuner.assemble.configure.trial import Trial
from tests.assemble.configure.conftest import Script, answers


def asked(trial: Trial, more: dict[str, Any], **replies: list[str]) -> Script:
    names = {
        "section": "Which section?",
        "option": "Which option?",
        "value": "Which value?",
        "text": "Value? (empty is the default)",
    }
    door = Script({names[name]: values for name, values in replies.items()})
    ask_more(trial, door, more, lambda: files_of(answers(more=more)))
    return door


def test_an_option_with_choices(trial: Trial) -> None:
    more: dict[str, Any] = {}
    door = asked(trial, more, section=["ema", "back"], option=["use_ema", "back"], value=["true"])
    assert more == {"use_ema": True}
    assert "Keep an averaged copy of the trained weights" in door.shown


def test_a_number_is_judged_at_once(trial: Trial) -> None:
    more: dict[str, Any] = {"use_ema": True}
    door = asked(trial, more, section=["ema", "back"], option=["ema_decay", "back"], text=["2", "0.99"])
    assert more == {"use_ema": True, "ema_decay": 0.99}
    assert "out of range: it must be at most 0.9999" in door.shown


def test_contradictions_with_other_options_are_found(trial: Trial) -> None:
    more: dict[str, Any] = {"gradient_checkpointing": False}
    replies = {"section": ["memory", "back"], "option": ["musubi_blocks_to_swap", "back"], "text": ["4", ""]}
    door = asked(trial, more, **replies)
    assert more == {"gradient_checkpointing": False}
    assert "gradient_checkpointing is off" in door.shown


def test_an_empty_value_gives_the_default_back(trial: Trial) -> None:
    more: dict[str, Any] = {"ema_decay": 0.5, "use_ema": True}
    asked(trial, more, section=["ema", "back"], option=["ema_decay", "use_ema", "back"], text=[""], value=[""])
    assert more == {}


@pytest.mark.parametrize("name", ["output_dir", "max_train_steps", "learning_rate", "data_backend_config"])
def test_what_the_wizard_asks_itself_is_not_offered(trial: Trial, name: str) -> None:
    with pytest.raises(AssertionError, match="none of"):
        for section in ("length", "optimizer", "data", "report"):
            asked(trial, {}, section=[section, "back"], option=[name])
