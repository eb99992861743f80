"""SIGKILL at random instants: what a run leaves in the end is what it leaves when nobody kills it.

Each trial kills a run in the phase it aims at, is drawn again where the kill came too late, and goes on to the end;
every third one is killed once more on the way.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs.crashing import CACHING, FINISHING, PRUNING, SAVING, STEP, Aim, Story
from tests.runs.resuming import Trial, another, begun, require_equal, small_model

# Three updates an epoch; checkpoints 3, 6, 9 and 10, of which the last two stay.
HOW = {"max_train_steps": 10, "checkpoint_step_interval": 3, "checkpoints_total_limit": 2}
FORMATS = {
    "fp32": {"optimizer": "torch-adamw"},
    "bf16": {"optimizer": "adamw_bf16", "base_model_default_dtype": "bf16", "mixed_precision": "bf16"},
}
TRAINING = ("", STEP)
WRITING = (SAVING, PRUNING, FINISHING)
# What is aimed at, what counts as hit, and how many trials each has; the first few of them are the short form.
PHASES = {
    "training": ((STEP,), TRAINING, 100, 5),
    "caching": ((CACHING,), (CACHING,), 50, 2),
    "writing": ((SAVING, SAVING, SAVING, PRUNING, PRUNING, FINISHING), WRITING, 50, 3),
}
TRIALS = [
    pytest.param(form, phase, number, marks=() if number < short else pytest.mark.long)
    for form in FORMATS
    for phase, (_, _, count, short) in PHASES.items()
    for number in range(count)
]
Unbroken = Callable[[str], Trial]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "omnigen")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Unbroken:
    """The run that nobody kills, by its number format, made when first asked for."""
    made: dict[str, Trial] = {}

    def make(form: str) -> Trial:
        if form not in made:
            folder = tmp_path_factory.mktemp(form) / "whole"
            made[form] = begun(folder, pretrained_model_name_or_path=model, **HOW, **FORMATS[form])
            assert made[form].start().code == 0, made[form].told()
        return made[form]

    return make


def drawn(story: Story, phases: tuple[str, ...], draws: random.Random) -> Aim:
    """An instant within one of the stays of an unbroken run in one of ``phases``."""
    phase = draws.choice(phases)
    lasting = story.lasting(phase)
    number = draws.randrange(len(lasting))
    return Aim(phase, number, draws.uniform(0.0, lasting[number]))


@pytest.mark.parametrize(("form", "phase", "number"), TRIALS)
def test_a_killed_run_ends_as_if_nobody_had_killed_it(
    unbroken: Unbroken,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    form: str,
    phase: str,
    number: int,
) -> None:
    whole = unbroken(form)
    draws = random.Random(f"{form} {phase} {number}")
    aimed, hit, _, _ = PHASES[phase]
    for attempt in range(20):
        trial = another(whole, tmp_path / f"trial-{attempt}", is_cached=phase != "caching")
        story = trial.start(drawn(whole.stories[0], aimed, draws))
        if story.is_killed and story.last_phase in hit:
            break
        shutil.rmtree(trial.folder)
    else:
        pytest.fail(f"no kill came during {phase}")
    record_property("draws", attempt + 1)
    record_property("killed in", story.last_phase or "between steps")
    if number % 3 == 2:
        story = trial.start(drawn(whole.stories[0], (STEP, SAVING), draws))
    if story.is_killed:
        trial.start()
    require_equal(trial, whole)
