"""Ending early, and going on when there is no reason to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simpletuner.assemble.training.best import EarlyStop, EnoughError
from simpletuner.core.events import Event, Notice
from simpletuner.core.progress import Progress
from simpletuner.validation.loss.best import Found, Judged
from tests.validation.loss.test_evaluator import Model, evaluator

HERE = Progress(step=30, epoch=1, epoch_step=10)
END = Progress(step=99, epoch=3)


def early(told: list[Event], losses: tuple[float, ...], patience: int | None) -> EarlyStop:
    made = evaluator(Model(), [])
    for step, loss in enumerate(losses, 1):
        made.judged = made.judged.after(Found(step, (loss,)))
    return EarlyStop(made, patience, told.append)


def test_enough_ends_training_and_is_told() -> None:
    told: list[Event] = []
    stop = early(told, (3.0, 2.0, 2.5, 2.1), patience=2)

    def travel() -> Progress:
        raise AssertionError("a run that has ended is not gone on with")

    assert stop.travelled(HERE, travel) == HERE
    (notice,) = told
    assert isinstance(notice, Notice)
    assert "2 evaluations without a lower loss since step 2" in notice.text
    assert notice.text.endswith("the best weights are in checkpoint-best")
    replace(stop, is_kept=False).travelled(HERE, travel)
    notice = told[-1]
    assert isinstance(notice, Notice)
    assert notice.text.endswith("the best weights were not kept (checkpoint_best)")


def test_it_ends_on_the_way() -> None:
    told: list[Event] = []
    stop = early(told, (3.0, 2.0, 2.5), patience=2)
    assert not stop.has_enough

    def travel() -> Progress:
        stop.after_update(HERE, epoch_ended=False)
        stop.evaluator.judged = stop.evaluator.judged.after(Found(4, (2.1,)))
        stop.after_update(HERE, epoch_ended=False)
        return END

    assert stop.travelled(Progress(), travel) == HERE
    assert len(told) == 1


def test_without_patience_it_never_ends() -> None:
    told: list[Event] = []
    stop = early(told, (1.0, *[2.0] * 50), patience=None)
    stop.after_update(HERE, epoch_ended=True)
    assert stop.travelled(Progress(), lambda: END) == END
    assert told == []


def test_the_error_carries_where_the_run_stands() -> None:
    stop = early([], (1.0, 2.0), patience=1)
    with pytest.raises(EnoughError) as caught:
        stop.after_update(HERE, epoch_ended=False)
    assert caught.value.progress == HERE
    assert Judged().has_enough(1) is False
