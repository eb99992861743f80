"""Weights that an update spoiled go back to a checkpoint, and the run ends as if that update had never been planned."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from simpletuner.assemble.stopping import Phase, Stopping
from simpletuner.assemble.training.actions import CheckpointAction, Intervals
from simpletuner.assemble.training.recovery import Journey
from simpletuner.core.batch import Batch
from simpletuner.core.checkpoints import list_checkpoints
from simpletuner.core.errors import (
    ConfigError,
    DataError,
    NonFiniteError,
    OutOfMemory,
    SimpletunerError,
    Terminated,
    ToldError,
    as_told,
)
from simpletuner.core.events import Evaluated, Event, Notice, StepDone
from simpletuner.core.progress import Action, Progress
from simpletuner.core.retention import Limits
from simpletuner.training.checkpoint import Saver
from simpletuner.training.ema import Ema, EmaSettings
from simpletuner.training.fingerprint import Identity
from simpletuner.training.loop import Course, run
from simpletuner.training.parallel.processes import LostError
from simpletuner.training.schedules import rate_at
from simpletuner.training.update import Engine
from simpletuner.validation.loss.evaluator import Candidates, Evaluator, Exam
from simpletuner.validation.loss.held_out import Bench
from tests.training.test_loop import engine, plan, weights
from tests.validation.loss.test_evaluator import HELD_OUT, SIGMAS, Model, batch

STEPS = 7


class Bursting(torch.optim.SGD):
    """Overflows in the updates of certain rates; each update of a linear schedule has a rate of its own."""

    bad: tuple[float, ...] = ()

    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        if any(abs(self.param_groups[0]["lr"] - rate) < 1e-9 for rate in self.bad):
            with torch.no_grad():
                self.param_groups[0]["params"][0].view(-1)[3] *= 1e39


@dataclass
class Trip:
    """A journey, and what was told on it."""

    journey: Journey
    told: list[Event] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.journey.engine

    def travel(self, *actions: Action) -> Progress:
        return self.journey.travel(Progress(), (self.journey.checkpoints, *actions))

    def steps(self) -> list[int]:
        return [event.step for event in self.told if isinstance(event, StepDone)]

    def warnings(self) -> list[str]:
        return [event.text for event in self.told if isinstance(event, Notice)]


def built() -> Engine:
    """With momentum and an average, so that more than weights has to go back."""
    made = engine()
    made = replace(made, ema=Ema(made.model.trainable(), EmaSettings(0.9), device=torch.device("cpu")))
    return replace(
        made,
        optimizer=Bursting(made.model.parameters(), lr=0.1, momentum=0.9),
        schedule=replace(made.schedule, name="linear", total=100, end=0.0),
    )


def trip(folder: Path, *bad: int, skips: int = 3, every: int | None = 2) -> Trip:
    """A journey on which the updates ``bad`` spoil a weight."""
    made, told = built(), list[Event]()
    evaluator = Evaluator(
        Bench(SIGMAS, batch, Model().losses, rows=8),
        Exam(HELD_OUT),
        Candidates(nullcontext),
        lambda _step: True,
        told.append,
    )
    saver = Saver(
        model=made.model,
        optimizer=made.optimizer,
        ema=made.ema,
        metadata={},
        lycoris=None,
        identity=Identity({}),
        data="",
        steps=STEPS,
        parallel=made.parallel,
        evaluation=evaluator.state,
    )
    action = CheckpointAction(saver, folder, Intervals(steps=every), Limits(), told.append)
    course = Course(plan=plan, max_steps=STEPS, skips=skips)
    assert isinstance(made.optimizer, Bursting)
    made.optimizer.bad = tuple(rate_at(made.schedule, step) for step in bad)
    return Trip(Journey(made, course, action, Stopping(), evaluator), told)


def without(*steps: int) -> Engine:
    """An engine after a run in which these updates were never made."""
    made = built()
    run(made, Course(plan=plan, max_steps=STEPS), Progress(skipped=steps), (), lambda event: None)
    return made


@pytest.mark.parametrize("bad", [(3,), (5, 6), (7,)])
def test_the_run_goes_back_and_on_without_the_bad_update(tmp_path: Path, bad: tuple[int, ...]) -> None:
    made, expected = trip(tmp_path, *bad), without(*bad)
    assert made.travel() == Progress(step=STEPS, epoch=3, epoch_step=1, skipped=bad)
    assert torch.equal(weights(made.engine), weights(expected))
    assert made.engine.ema is not None
    assert expected.ema is not None
    for name, shadow in expected.ema.shadow.items():
        assert torch.equal(made.engine.ema.shadow[name], shadow)
    assert made.steps() == list(range(1, STEPS + 1)), "each step is told once"
    backs = [text for text in made.warnings() if "back to checkpoint-" in text]
    assert [f"update {step} left denoiser." in text for step, text in zip(bad, backs, strict=True)] == [True] * len(bad)
    assert all("pictures: d/" in text for text in backs)
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [2, 4, 6]


@pytest.mark.parametrize(("bad", "skips", "every"), [((5,), 0, 2), ((3, 5), 1, 2), ((5,), 3, None), ((1,), 3, 2)])
def test_without_a_budget_or_a_checkpoint_the_run_ends_with_its_own_code(
    tmp_path: Path, bad: tuple[int, ...], skips: int, every: int | None
) -> None:
    made = trip(tmp_path, *bad, skips=skips, every=every)
    with pytest.raises(NonFiniteError, match=rf"update {bad[-1]} left") as caught:
        made.travel()
    assert caught.value.exit_code == 6
    # What was whole is still there, and nothing came after it.
    assert all(checkpoint.step < bad[-1] for checkpoint in list_checkpoints(tmp_path))


class Ending:
    """Ends the run after an update."""

    def __init__(self, step: int, error: Exception) -> None:
        self._step = step
        self._error = error

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        del epoch_ended
        if progress.step == self._step:
            raise self._error


@pytest.mark.parametrize("error", [DataError("went bad"), OutOfMemory("one alone")])
def test_what_was_learned_is_saved_before_the_run_ends(tmp_path: Path, error: Exception) -> None:
    made = trip(tmp_path)
    with pytest.raises(type(error)):
        made.travel(Ending(5, error))
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [2, 4, 5]


@pytest.mark.parametrize(
    ("error", "steps"),
    [(OutOfMemory("one alone"), [2, 4, 5]), (ConfigError("a mistake"), [2, 4]), (KeyError("a bug"), [2, 4])],
)
def test_one_that_was_told_saves_where_the_one_that_tells_does(
    tmp_path: Path, error: Exception, steps: list[int]
) -> None:
    made = trip(tmp_path)
    with pytest.raises(ToldError):
        made.travel(Ending(5, ToldError(as_told(error))))
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == steps


@pytest.mark.parametrize("refused", [DataError("the disk is low"), LostError("another process is gone")])
def test_the_first_error_ends_the_run_where_the_save_after_it_is_refused(
    tmp_path: Path, refused: SimpletunerError
) -> None:
    made = trip(tmp_path, every=None)

    def refuse() -> None:
        raise refused

    made.journey.checkpoints.ready = refuse
    with pytest.raises(OutOfMemory, match="one alone"):
        made.travel(Ending(5, OutOfMemory("one alone")))
    told = f"what was learned since the last checkpoint could not be saved: {refused.reason}"
    assert made.warnings() == [told]


def test_evaluations_go_back_with_the_weights(tmp_path: Path) -> None:
    """They are neither counted nor told twice: an early stop comes when it would have."""
    made, unbroken = trip(tmp_path / "a", 7, every=4), trip(tmp_path / "b", every=4)
    for one in (made, unbroken):
        one.journey.checkpoints.output_dir.mkdir()
        one.travel(one.journey.evaluator)
    assert made.journey.evaluator.judged == unbroken.journey.evaluator.judged
    assert unbroken.journey.evaluator.judged.waited == STEPS - 1
    assert [event.step for event in made.told if isinstance(event, Evaluated)] == list(range(1, STEPS + 1))


def test_an_evaluation_without_memory_ends_the_run_after_a_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(self: Model, made: Batch) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Model, "losses", hungry)
    made = trip(tmp_path)
    with pytest.raises(OutOfMemory, match=r"evaluating step 1 \(faces\): no memory for a picture at 2 of 2 noise"):
        made.travel(made.journey.evaluator)
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [1]


def test_weights_that_are_half_put_back_are_not_saved(tmp_path: Path) -> None:
    made = trip(tmp_path, 6, every=4)
    assert made.engine.ema is not None

    def damaged(shadow: object) -> None:
        raise DataError("the average cannot be read")

    made.engine.ema.load = damaged  # type: ignore[method-assign]
    with pytest.raises(DataError, match="the average cannot be read"):
        made.travel()
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [4]


def test_a_signal_says_which_checkpoint_it_left(tmp_path: Path) -> None:
    made = trip(tmp_path)
    made.journey.stopping.phase = Phase.TRAINING
    with pytest.raises(Terminated, match=r"stopped after step 3; checkpoint-3 is saved, and the same command"):
        made.travel(Ending(3, Terminated("heard")))
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [2, 3]


@pytest.mark.parametrize("what", ["weights", "optimizer's state", "average"])
def test_nothing_that_is_no_number_is_saved(tmp_path: Path, what: str) -> None:
    made = trip(tmp_path)
    spoiled = made.engine

    class Spoiling:
        def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
            del epoch_ended
            if progress.step != 3:
                return
            first = next(iter(spoiled.model.trainable().values()))
            assert spoiled.ema is not None
            hurt = {
                "weights": first.data,
                "optimizer's state": spoiled.optimizer.state[first]["momentum_buffer"],
                "average": next(iter(spoiled.ema.shadow.values())),
            }[what]
            hurt.view(-1)[0] = float("inf")
            raise DataError("and then the run ends")

    with pytest.raises(
        NonFiniteError, match=rf"the {what}.* after step 3 cannot be saved: .*denoiser\.\S+ is not finite"
    ):
        made.travel(Spoiling())
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [2]
