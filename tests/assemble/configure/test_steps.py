from __future__ import annotations

import pytest

from simpletuner.assemble.configure.answers import CHOICES, NAMES, parse
from simpletuner.assemble.configure.cards import Machine
from simpletuner.assemble.configure.steps import STEPS, Step
from simpletuner.assemble.configure.suggest import Facts
from tests.assemble.configure.conftest import answers
from tests.assemble.configure.test_suggest import facts

KNOWN = [Facts(), facts(), Facts(Machine(("A", "B"), "24"))]


def test_every_answer_is_asked_for_in_its_order() -> None:
    # Repeats follow from the batch.
    assert [step.name for step in STEPS] == [name for name in NAMES if name != "repeats"]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
@pytest.mark.parametrize("known", KNOWN)
def test_a_screen_is_short_and_its_choices_are_answers(step: Step, known: Facts) -> None:
    values = vars(answers(reports="tensorboard,wandb"))
    lines = list(step.about(values, known))
    assert len(lines) <= 3
    assert all(len(line) <= 95 for line in lines), lines
    if step.choices is None:
        assert step.name not in CHOICES
        return
    choices = list(step.choices(values, known))
    assert str(values[step.name]) in [choice.value for choice in choices]
    for choice in choices:
        parse(step.name, choice.value)
        assert len(choice.title) + len(choice.note) <= 70
    if step.name in CHOICES:
        assert {choice.value for choice in choices} >= {*CHOICES[step.name]} - {"other"}


def test_questions_that_do_not_apply() -> None:
    def asked(known: Facts, **given: object) -> set[str]:
        values = vars(answers(**given))
        return {step.name for step in STEPS if step.applies(values, known)}

    assert {"devices", "rank"}.isdisjoint(asked(Facts()))
    assert "devices" in asked(KNOWN[2])
    assert asked(Facts(), adapter="lora") >= {"rank"}
    assert "factor" not in asked(Facts(), adapter="lora")
    assert {"previews", "draw"}.isdisjoint(asked(Facts(), prompt=""))
    assert "draw" not in asked(Facts(), previews=0)


def test_what_is_there_may_stay() -> None:
    step = next(step for step in STEPS if step.name == "adapter")
    assert step.choices is not None
    kinds = [[choice.value for choice in step.choices({"adapter": kind}, Facts())] for kind in ("lokr", "other")]
    assert kinds == [["lokr", "lora"], ["lokr", "lora", "other"]]
