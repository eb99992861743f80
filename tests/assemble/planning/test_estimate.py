from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from simpletuner.assemble.planning import estimate
from simpletuner.assemble.planning.estimate import _planned, plan_run, stoppable
from simpletuner.assemble.stage import silent
from simpletuner.core.errors import Interrupted, Terminated
from simpletuner.core.events import Event, Notice, StageProgress
from tests.assemble.conftest import dataset, loaded_run, write_scenes
from tests.assemble.planning.conftest import World


def test_a_whole_run(world: World) -> None:
    heard: list[Event] = []
    plan = plan_run(world.loaded, heard.append)
    assert (plan.steps, plan.epochs, plan.updates_per_epoch) == (10, 2, 7)
    assert [found.shape.size for found in plan.shapes] == ["128x64", "64x64"]
    assert plan.fits
    assert plan.caching.latents == 8
    assert (plan.validation.times, plan.evaluation.times) == (2, 2)
    assert plan.saving is not None
    assert plan.saving.count == 3
    assert all(seconds > 0 for seconds in plan.seconds.values())
    stages = [event for event in heard if isinstance(event, StageProgress) and event.stage == "plan"]
    assert [event.label for event in stages if event.done == event.total] == [
        "measuring caches",
        "measuring updates",
        "measuring pictures and checkpoints",
    ]


def test_the_largest_shape_alone(world: World) -> None:
    plan = plan_run(world.loaded, silent, only_largest=True)
    assert [found.shape.size for found in plan.shapes] == ["128x64"]
    assert (plan.saving, plan.caching.latents, plan.validation.times) == (None, 0, 0)


def test_a_data_set_that_no_step_uses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cats", "dogs"):
        write_scenes(tmp_path / name, ["a.png", "b.png"])
    entries = [
        dataset("cats", caption_strategy="filename"),
        dataset("dogs", caption_strategy="filename", start_step=50),
    ]
    loaded, heard = loaded_run(tmp_path, entries, max_train_steps=4), list[Event]()
    plan = plan_run(loaded, heard.append, only_largest=True)
    (problem,) = plan.problems
    assert problem.startswith('data set "dogs" is never trained in this run\n')
    (told,) = [event for event in heard if isinstance(event, Notice) and "never trained" in event.text]
    assert told.level == "warning"
    assert "set max_train_steps to" in told.text
    assert {found.shape.dataset for found in plan.shapes} == {"cats"}


def test_a_model_that_does_not_fit_is_a_plan_of_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*_given: object) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr(estimate, "build_model", starved)
    plan = _planned(replace(world.ready), only_largest=False)
    assert plan.nothing_fits
    assert [found.said for found in plan.shapes] == ["the model alone does not fit: no more"] * 2
    assert plan.training == 0
    assert plan.saving is None


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, Interrupted), (signal.SIGTERM, Terminated)])
def test_a_signal_ends_it_at_once(number: int, error: type[Exception], capfd: pytest.CaptureFixture[str]) -> None:
    former = signal.getsignal(number)
    with pytest.raises(error, match="a plan leaves nothing behind"), stoppable():
        os.kill(os.getpid(), number)
        pytest.fail("went on")
    assert signal.getsignal(number) == former
    assert "ending" in capfd.readouterr().err
