from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from simpletuner.assemble.configure.files import CONFIG, DATALOADER, LYCORIS
from simpletuner.assemble.configure.saving import save
from simpletuner.assemble.configure.wizard import Wizard, converse, settle
from simpletuner.core.errors import ConfigError, DataError
from tests.assemble.configure.conftest import Script

Begin = Callable[..., Wizard]
GO_ON = "Go on with this?"


def test_all_questions_answered_as_suggested(begin: Begin) -> None:
    wizard, door = begin(), Script({"Where are they?": ["cats", ""]})
    made = converse(wizard, door)
    assert made is not None
    assert [change.path.name for change in made] == [CONFIG, DATALOADER, LYCORIS]
    assert all(change.is_new for change in made)
    files = wizard.files()
    assert files[DATALOADER][0]["resolution"] == 512
    assert files[CONFIG]["validation_prompt"] == "a photo of cats"
    assert "6 of 6 are used (cats)" in door.shown
    assert door.screens[0] == "Your GPU 1 of 19"
    # Several GPUs and the rank of a LoRA are not asked about.
    assert {"How many of them?", "Which rank?"}.isdisjoint(door.asked)


def test_an_answer_that_leads_back_to_its_question(begin: Begin, place: Path) -> None:
    (place / "empty").mkdir()
    door = Script({"Where are they?": ["birds", "empty", "cats", ""], "Which folder?": ["cats/out", "out"]})
    assert converse(begin(), door) is not None
    assert "there is no folder 'birds'" in door.shown
    assert "choose another folder, or put pictures into it" in door.shown
    assert "what is drawn would be trained on" in door.shown
    assert door.asked.count("Where are they?") == 4


def test_an_answer_of_the_wrong_form_is_told_at_once(begin: Begin) -> None:
    sizes = ["1000", "1024x1024"]
    door = Script({"Where are they?": ["cats", ""], "Which sizes?": sizes, "Pictures in one step?": ["x", "2"]})
    assert converse(begin(), door) is not None
    assert door.complaints == [
        "'x' is no whole number: 1 or more",
        "1000 is no multiple of 16, as OmniGen's pictures are: 992 or 1008",
    ]


def test_a_warning_asks_and_leads_back(begin: Begin) -> None:
    door = Script(
        {"Where are they?": ["cats", ""], "Which rate?": ["0.01", "1e-4"], GO_ON: [True, True, True, True, False]}
    )
    wizard = begin(card="48")
    assert converse(wizard, door) is not None
    assert "far above what LoKr likes" in door.shown
    assert wizard.answers().learning_rate == 1e-4


def test_pictures_that_are_not_the_right_ones(begin: Begin) -> None:
    door = Script({"Where are they?": ["dogs", "cats", ""], GO_ON: [False]})
    wizard = begin()
    converse(wizard, door)
    assert wizard.answers().pictures == "cats"
    assert wizard.facts.pictures == 6


def test_changing_an_answer_at_the_end(begin: Begin) -> None:
    door = Script(
        {
            "Where are they?": ["cats", ""],
            "What now?": ["change", "write"],
            "Which one?": ["adapter"],
            "What is trained?": ["lokr", "lora"],
        }
    )
    wizard = begin()
    made = converse(wizard, door)
    assert made is not None
    assert [change.path.name for change in made] == [CONFIG, DATALOADER]
    assert "lora_rank" in wizard.files()[CONFIG]


def test_leaving_writes_nothing(begin: Begin, place: Path) -> None:
    assert converse(begin(), Script({"Where are they?": ["cats", ""], "What now?": ["leave"]})) is None
    assert not (place / "config").exists()


def test_a_mistake_between_answers_leads_to_one_of_them(begin: Begin) -> None:
    replies = {
        "Where are they?": ["cats", ""],
        "Which repository?": ["a/b/c", "me/cats"],
        "What now?": ["write", "write"],
    }
    wizard, door = begin(), Script(replies)
    assert converse(wizard, door) is not None
    assert "'a/b/c' is no name of a repository" in door.shown
    assert "Answer 'hub' again?" in door.asked
    assert wizard.files()[CONFIG]["hub_model_id"] == "me/cats"


def test_a_mistake_that_no_question_asks_about_is_told_at_the_end(begin: Begin) -> None:
    wizard = begin()

    def refuse(_loaded: object) -> None:
        if wizard.facts.folder and "What now?" in door.asked:
            raise ConfigError("there is no such layer", key="lycoris_config")

    wizard.trial = replace(wizard.trial, require=refuse)
    door = Script({"Where are they?": ["cats", ""], "What now?": ["write", "leave"]})
    assert converse(wizard, door) is None
    assert "lycoris_config: there is no such layer" in door.shown


def test_a_file_is_replaced_only_with_a_word(begin: Begin, place: Path) -> None:
    (place / "config").mkdir()
    other = place / "config" / DATALOADER
    other.write_text('[{"id": "mine"}]')
    question = "Replace it? The former one is kept as .bak"
    door = Script({"Where are they?": ["cats", ""], question: [False], "What now?": ["write", "leave"]})
    assert converse(begin(), door) is None
    assert '-[{"id": "mine"}]' in door.shown
    assert other.read_text() == '[{"id": "mine"}]'
    made = converse(begin(), Script({"Where are they?": ["cats", ""], question: [True]}))
    assert made is not None
    assert [path.read_text() for path in save(made)] == ['[{"id": "mine"}]']


def test_ctrl_c_goes_through(begin: Begin, place: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        converse(begin(), Script({"Which factor?": [KeyboardInterrupt()], "Where are they?": ["cats"]}))
    assert not (place / "config").exists()


def test_settling_looks_until_what_is_suggested_stands(begin: Begin) -> None:
    wizard = begin(pictures="cats", batch=9, crop="square")
    reports = settle(wizard)
    assert reports[0].used == 6
    assert (wizard.answers().repeats, wizard.answers().resolution) == (1, "512")
    assert settle(wizard)[0].buckets == {"1.0": 6}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"pictures": "birds"}, ConfigError),
        ({"pictures": "cats", "captions": "textfile"}, DataError),
        ({"pictures": "cats", "hub": "a/b/c"}, ConfigError),
    ],
)
def test_settling_refuses(begin: Begin, given: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        settle(begin(**given))
