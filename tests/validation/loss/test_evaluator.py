"""When it evaluates, what it tells, and how it goes on after a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from simpletuner.core.batch import Batch, Prompt
from simpletuner.core.events import Evaluated, Event, Notice
from simpletuner.core.progress import Progress
from simpletuner.core.samples import SampleId, Use
from simpletuner.validation.loss.best import Judged
from simpletuner.validation.loss.evaluator import Candidates, Evaluator, Exam
from simpletuner.validation.loss.held_out import Bench

SIGMAS = (0.25, 0.75)
HELD_OUT = {"faces": (SampleId("faces", "a"), SampleId("faces", "b"), SampleId("faces", "c"))}
SEEN = (SampleId("train", "x"), SampleId("train", "y"))
# The loss that each picture adds to the model's own.
OWN = {"a": 0.1, "b": 0.3, "c": 0.2, "x": 0.0, "y": 0.1}


class Model:
    """A model that is known by its losses on the two kinds of pictures."""

    def __init__(self) -> None:
        self.held_out, self.seen, self.is_base = 1.0, 1.0, False

    def losses(self, batch: Batch) -> Tensor:
        rows = zip(batch.uses, batch.sigma.tolist(), strict=True)
        return torch.tensor([self._loss(use, sigma) for use, sigma in rows])

    def _loss(self, use: Use, sigma: float) -> float:
        level = self.held_out if use.sample.dataset == "faces" else self.seen
        # A picture does not move exactly as the others do.
        wobble = 0.001 * ord(use.sample.path) * (1 - level)
        return OWN[use.sample.path] + sigma + (1.5 if self.is_base else level + wobble)

    @contextmanager
    def live(self) -> Iterator[None]:
        yield

    @contextmanager
    def base(self) -> Iterator[None]:
        self.is_base = True
        yield
        self.is_base = False


def batch(uses: Sequence[Use]) -> Batch:
    nothing = torch.zeros(len(uses), 1, 1, 1)
    prompts = tuple(Prompt(torch.zeros(1, dtype=torch.int64)) for _ in uses)
    return Batch(tuple(uses), nothing, nothing, torch.zeros(len(uses)), prompts)


def evaluator(model: Model, told: list[Event], *, adapter: bool = True, pictures: Exam | None = None) -> Evaluator:
    exam = pictures or Exam(HELD_OUT, SEEN, {"faces": {"linear_reference": 1.9}}, {"faces": 2.0})
    candidates = Candidates(model.live, average=model.base, base=model.base if adapter else None)
    return Evaluator(
        Bench(SIGMAS, batch, model.losses, rows=8), exam, candidates, lambda step: step % 10 == 0, told.append
    )


def evaluations(told: Sequence[Event]) -> list[Evaluated]:
    return [event for event in told if isinstance(event, Evaluated)]


def at(step: int) -> Progress:
    return Progress(step=step, epoch=0, epoch_step=step)


def test_the_base_model_is_measured_before_training_and_once() -> None:
    told: list[Event] = []
    made = evaluator(Model(), told)
    made.before_training(Progress())
    made.before_training(Progress())
    (base,) = evaluations(told)
    assert (base.step, base.epoch) == (0, 1)
    assert base.metrics == pytest.approx(
        {
            "loss/val/faces/base": 2.2,
            "loss/val/faces/linear_reference": 1.9,
            "chart/loss/val/faces/base/0.250": 1.95,
            "chart/loss/val/faces/base/0.750": 2.45,
        }
    )


def test_an_evaluation_tells_mean_error_gain_and_curve() -> None:
    model, told = Model(), list[Event]()
    made = evaluator(model, told)
    made.before_training(Progress())
    made.after_update(at(9), epoch_ended=False)
    assert len(evaluations(told)) == 1
    made.after_update(at(10), epoch_ended=True)
    found = evaluations(told)[1]
    assert (found.step, found.epoch) == (10, 1)
    assert list(found.metrics)[:4] == [f"loss/val/faces{end}" for end in ("", "/se", "/gain", "/gain/se")]
    assert found.metrics == pytest.approx(
        {
            "loss/val/faces": 1.7,
            "loss/val/faces/se": 0.1 / 3**0.5,
            "loss/val/faces/base": 2.2,
            "loss/val/faces/gain": 0.5,
            "loss/val/faces/gain/se": 0.0,
            "loss/val/faces/ema": 2.2,
            "loss/val/faces/ema/se": 0.1 / 3**0.5,
            "loss/val/faces/explained": 0.15,
            "loss/val/faces/linear_reference": 1.9,
            "loss/seen": 1.55,
            "loss/seen/se": 0.05,
            "chart/loss/val/faces/0.250": 1.45,
            "chart/loss/val/faces/0.750": 1.95,
        },
        abs=1e-6,
    )


def test_of_a_model_trained_whole_only_its_first_weights_are_the_base() -> None:
    told: list[Event] = []
    evaluator(Model(), told, adapter=False).before_training(Progress())
    assert evaluations(told)[0].metrics["loss/val/faces/base"] == pytest.approx(1.7)
    told.clear()
    late = evaluator(Model(), told, adapter=False)
    late.before_training(at(5))
    late.after_update(at(10), epoch_ended=False)
    assert "loss/val/faces/base" not in evaluations(told)[0].metrics


def test_the_best_is_handed_on_and_a_rise_is_told() -> None:
    model, told = Model(), list[Event]()
    made, best = evaluator(model, told), list[int]()
    made.on_best = lambda progress: best.append(progress.step)
    made.before_training(Progress())
    for step, held_out, seen in ((10, 0.9, 0.9), (20, 0.8, 0.7), (30, 0.9, 0.5), (40, 1.0, 0.3)):
        model.held_out, model.seen = held_out, seen
        made.after_update(at(step), epoch_ended=False)
    assert best == [10, 20]
    assert made.judged.waited == 2
    (warning,) = [event for event in told if isinstance(event, Notice)]
    assert warning.level == "warning"
    assert "since step 20" in warning.text


def test_a_checkpoint_keeps_the_base_and_the_best() -> None:
    model, told = Model(), list[Event]()
    made = evaluator(model, told)
    made.before_training(Progress())
    made.after_update(at(10), epoch_ended=False)
    saved = json.loads(json.dumps(made.state()))
    told.clear()
    again = evaluator(model, told)
    again.restore(saved)
    again.before_training(at(10))
    assert told == []
    assert again.state() == made.state()


def test_what_came_after_a_checkpoint_is_forgotten_and_not_told_again() -> None:
    """The run goes back, and makes the same steps again."""
    model, told = Model(), list[Event]()
    made = evaluator(model, told)
    made.before_training(Progress())
    made.after_update(at(10), epoch_ended=False)
    saved = json.loads(json.dumps(made.state()))
    made.after_update(at(20), epoch_ended=False)
    before = made.state()
    made.restore(saved)
    assert json.loads(json.dumps(made.state())) == saved
    made.after_update(at(20), epoch_ended=False)
    assert made.state() == before
    made.restore({})
    assert made.judged == Judged()
    made.after_update(at(30), epoch_ended=False)
    assert [event.step for event in evaluations(told)] == [0, 10, 20, 30]


def test_what_was_due_when_the_run_ended_is_made_up_for() -> None:
    told: list[Event] = []
    first = evaluator(Model(), told)
    first.before_training(Progress())
    saved = first.state()
    told.clear()
    again = evaluator(Model(), told)
    again.restore(saved)
    again.before_training(Progress(step=10, epoch=1, epoch_step=0))
    (found,) = evaluations(told)
    assert (found.step, found.epoch) == (10, 1)


def test_what_an_earlier_run_told_after_its_checkpoint_is_made_up_for_and_not_told_again() -> None:
    told: list[Event] = []
    first = evaluator(Model(), told)
    first.before_training(Progress())
    saved = first.state()
    first.after_update(at(10), epoch_ended=False)
    metrics = evaluations(told)[-1].metrics
    told.clear()
    again = evaluator(Model(), told)
    again.was_told(10, metrics)
    again.restore(saved)
    again.before_training(at(10))
    assert evaluations(told) == []
    assert again.state() == first.state()
    again.after_update(at(20), epoch_ended=False)
    assert [event.step for event in evaluations(told)] == [20]


def test_the_base_models_numbers_are_not_an_evaluation() -> None:
    told: list[Event] = []
    made = evaluator(Model(), told)
    made.was_told(10, {"train_loss": 1.0, "loss/val/faces/base": 1.0})
    made.evaluate(at(10), 1)
    assert len(evaluations(told)) == 1


def test_what_was_told_of_other_pictures_does_not_count() -> None:
    told: list[Event] = []
    first = evaluator(Model(), told)
    first.before_training(Progress())
    saved = first.state()
    first.after_update(at(10), epoch_ended=False)
    metrics = evaluations(told)[-1].metrics
    again = evaluator(Model(), told)
    again.was_told(10, metrics)
    again.restore(saved | {"key": "another"})
    told.clear()
    again.before_training(at(10))
    assert [event.step for event in evaluations(told)] == [10, 10]


def test_other_pictures_begin_anew() -> None:
    told: list[Event] = []
    first = evaluator(Model(), told)
    first.before_training(Progress())
    first.after_update(at(10), epoch_ended=False)
    told.clear()
    other = evaluator(Model(), told, pictures=Exam({"faces": HELD_OUT["faces"][:2]}, SEEN))
    other.restore(first.state())
    other.before_training(at(13))
    assert isinstance(told[0], Notice)
    assert "it begins anew" in told[0].text
    assert other.judged.best is None
    assert len(evaluations(told)) == 1


def test_without_pictures_nothing_happens() -> None:
    told: list[Event] = []
    made = evaluator(Model(), told, pictures=Exam({}))
    made.restore({})
    made.before_training(Progress())
    made.after_update(at(10), epoch_ended=False)
    assert told == []
