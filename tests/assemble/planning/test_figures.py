from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from simpletuner.assemble.planning.figures import (
    CacheFigures,
    Machine,
    Peak,
    RunPlan,
    SavingFigures,
    SeeingFigures,
    Shape,
    SizeFigures,
    StepFigures,
)

SHAPE = Shape("cats", "1.0", "64x64", 4, 8, 10, 25, 190, 20, 0)
STEP = StepFigures(SHAPE, Peak(100), 4, seconds=2.0, first=5.0, timed=3)
SIZE = SizeFigures("64x64", 10, 0.5, Peak(10))


def test_a_short_update_counts_by_its_pictures_and_the_first_one_takes_longer() -> None:
    assert STEP.in_run == pytest.approx(2.0 * 190 / 8 + 3.0)
    assert replace(STEP, first=1.0).in_run == pytest.approx(47.5)
    assert replace(STEP, seconds=None).in_run == 0
    assert replace(STEP, shape=replace(SHAPE, updates=0, uses=0)).in_run == 0


@pytest.mark.parametrize(("at_once", "fits", "is_cut"), [(4, True, False), (2, True, True), (0, False, False)])
def test_what_fits(at_once: int, fits: bool, is_cut: bool) -> None:
    found = replace(STEP, at_once=at_once)
    assert (found.fits, found.is_cut) == (fits, is_cut)
    plan = RunPlan("run", Machine("CPU", "cpu", None, 1), 25, 3, 10, (found, found))
    assert (plan.fits, plan.nothing_fits, plan.is_tight) == (fits, not fits, at_once < 4)
    beside = replace(plan, shapes=(STEP, found))
    assert (beside.fits, beside.nothing_fits, beside.is_tight) == (fits, False, at_once < 4)


def test_a_run_is_the_sum_of_its_parts() -> None:
    saving = SavingFigures(3, 2, 100, 40, 1.5, Path("output"), 1000)
    assert (saving.bytes, saving.seconds) == (240, 6.0)
    assert replace(saving, seconds_each=None).seconds == 0
    plan = RunPlan(
        name="run",
        machine=Machine("CPU", "cpu", None, 1),
        steps=25,
        epochs=3,
        updates_per_epoch=10,
        shapes=(STEP, STEP),
        starting=1.0,
        caching=CacheFigures((SIZE,), 10, 500),
        validation=SeeingFigures(2, (SIZE, SIZE)),
        evaluation=SeeingFigures(1, (SIZE,)),
        saving=saving,
    )
    assert plan.seconds == {
        "starting": 1.0,
        "caching": 5.0,
        "training": 101.0,
        "validation": 10.0,
        "evaluation": 5.0,
        "checkpoints": 6.0,
    }
    assert plan.total == pytest.approx(128.0)
    assert replace(plan, saving=None).seconds["checkpoints"] == 0
