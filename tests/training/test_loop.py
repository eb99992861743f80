"""The loop around the step: order, slices, and what never reaches a weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.errors import NonFiniteError
from simpletuner.core.events import Event, Notice, StepDone
from simpletuner.core.progress import Progress
from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.training.batches import BatchMaker
from simpletuner.training.loop import Course, run
from simpletuner.training.model import TrainedModel
from simpletuner.training.parallel.replicas import Replicas
from simpletuner.training.schedules import Schedule
from simpletuner.training.update import Clipping, Engine
from tests.models.omnigen.tiny_model import random_omnigen

SAMPLES = [SampleId("d", name) for name in "abcd"]


def latents(use: Use, height: int = 4, width: int = 4) -> Latents:
    draws = torch.Generator().manual_seed(ord(use.sample.path))
    return Latents(torch.randn(4, height, width, generator=draws), torch.full((4, height, width), -6.0))


def mixed(use: Use) -> Latents:
    """Four pictures of four sizes."""
    return latents(use, *{"a": (4, 8), "b": (8, 4), "c": (6, 6), "d": (2, 8)}[use.sample.path])


def engine(read: Callable[[Use], Latents] = latents, size: int = 2, *, prior: bool = False) -> Engine:
    def slices(update: Update) -> list[tuple[Use, ...]]:
        return [update.uses[start : start + size] for start in range(0, len(update.uses), size)]

    model = TrainedModel(OmniGen(), random_omnigen(num_layers=1), None)
    return Engine(
        parallel=Replicas(torch.device("cpu")),
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        schedule=Schedule("constant", peak=0.05, end=0, warmup=0, total=10),
        clipping=Clipping("norm", 0.0),
        ema=None,
        batches=BatchMaker(
            seed=1,
            latents=read,
            masks=lambda use: None,
            references=lambda use: (),
            captions=lambda use: ("red", "blue"),
            tokens=lambda caption, pictures: torch.tensor([1, *map(ord, caption)]),
            unconditional=torch.tensor([1]),
            dropout=0.2,
        ),
        slices=slices,
        prior=lambda dataset: prior,
        seed=1,
    )


def plan(epoch: int) -> Sequence[Update]:
    pairs = (SAMPLES[:2], SAMPLES[2:])
    return [Update("d", "1.0", tuple(Use(sample, epoch) for sample in pair)) for pair in pairs]


def course(steps: int = 5) -> Course:
    return Course(plan=plan, max_steps=steps)


def weights(made: Engine) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in made.model.parameters()])


def test_it_ends_exactly_at_the_limit_inside_an_epoch_and_tells_every_step() -> None:
    told: list[Event] = []
    end = run(engine(), course(), Progress(), (), told.append)
    assert end == Progress(step=5, epoch=2, epoch_step=1)
    steps = [event for event in told if isinstance(event, StepDone)]
    assert [(event.step, event.epoch) for event in steps] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)]


@pytest.mark.parametrize("read", [latents, mixed])
def test_slicing_an_update_changes_no_weight(read: Callable[[Use], Latents]) -> None:
    whole, sliced = engine(read, size=2), engine(read, size=1)
    run(whole, course(), Progress(), (), lambda event: None)
    run(sliced, course(), Progress(), (), lambda event: None)
    assert (weights(whole) - weights(sliced)).abs().max() < 1e-5


def test_the_base_model_agrees_with_itself_about_pictures_of_mixed_sizes() -> None:
    told: list[Event] = []
    run(engine(mixed, prior=True), course(steps=2), Progress(), (), told.append)
    assert [event.metrics["regularisation_loss"] for event in told if isinstance(event, StepDone)] == [0, 0]


def test_going_on_in_mid_epoch_does_the_rest_and_nothing_twice() -> None:
    seen: list[str] = []

    def read(use: Use) -> Latents:
        seen.append(use.sample.path)
        return latents(use)

    run(engine(read), course(steps=4), Progress(step=1, epoch=0, epoch_step=1), (), lambda event: None)
    assert "".join(seen) == "cd" + "abcd"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_latent_ends_the_run_before_it_reaches_a_weight(bad: float) -> None:
    def read(use: Use) -> Latents:
        found = latents(use)
        return Latents(found.mean + bad, found.logvar) if use.sample.path == "c" else found

    made = engine(read)
    before = weights(made)
    with pytest.raises(NonFiniteError, match=r"step 2 .*d/c, d/d"):
        run(made, course(steps=2), Progress(), (), lambda event: None)
    first = engine()
    run(first, course(steps=1), Progress(), (), lambda event: None)
    assert not torch.equal(weights(made), before)
    assert torch.equal(weights(made), weights(first))


def spoiled(use: Use) -> Latents:
    """The second visit of one picture has no number."""
    found = latents(use)
    return Latents(found.mean + float("nan"), found.logvar) if (use.sample.path, use.visit) == ("c", 1) else found


def test_an_update_without_a_number_is_left_out_and_told_and_all_others_are_as_planned() -> None:
    told: list[Event] = []
    made, expected = engine(spoiled), engine()
    start = Progress()
    end = run(made, replace(course(steps=6), skips=1), start, (), told.append)
    assert end == Progress(step=6, epoch=3, skipped=(4,))
    run(expected, course(steps=6), Progress(skipped=(4,)), (), lambda event: None)
    assert torch.equal(weights(made), weights(expected))
    steps = [event for event in told if isinstance(event, StepDone)]
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    assert [event.metrics.get("skipped_update") for event in steps] == [None, None, None, 1.0, None, None]
    assert [math.isnan(event.loss) for event in steps] == [False] * 3 + [True] + [False] * 2
    (notice,) = [event for event in told if isinstance(event, Notice)]
    assert notice.level == "warning"
    assert "update 4 is left out: step 4 gave loss nan" in notice.text
    assert notice.text.endswith("pictures: d/c, d/d; the loss of d/c is not finite (1 of at most 1)")


def test_a_run_that_goes_on_knows_what_its_budget_was_spent_on() -> None:
    before = Progress(step=3, epoch=1, epoch_step=1, skipped=(2,))
    with pytest.raises(NonFiniteError, match="step 4"):
        run(engine(spoiled), replace(course(steps=6), skips=1), before, (), lambda event: None)
    end = run(engine(spoiled), replace(course(steps=6), skips=2), before, (), lambda event: None)
    assert end.skipped == (2, 4)


def test_updates_made_again_are_not_told_again() -> None:
    told: list[Event] = []
    run(engine(), replace(course(steps=5), told=3), Progress(step=1, epoch_step=1), (), told.append)
    assert [event.step for event in told if isinstance(event, StepDone)] == [4, 5]


class Counting:
    """Counts how often actions are asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        self.asked.append((progress.step, epoch_ended))


def test_actions_are_asked_after_every_update() -> None:
    action = Counting()
    run(engine(), course(steps=3), Progress(), (action,), lambda event: None)
    assert action.asked == [(1, False), (2, True), (3, False)]
