from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from simpletuner.assemble.planning.figures import (
    Alternative,
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
from simpletuner.cli.plan_words import _span, lines, plan_json, show

GIGABYTE = 2**30
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SHAPE = Shape("cats", "1.0", "1024x1024", 2, 4, 310, 3100, 12400, 61, 0)
STEP = StepFigures(SHAPE, Peak(int(9.8 * GIGABYTE), 11 * GIGABYTE), 2, seconds=2.1, first=2.1, timed=2)
SIZE = SizeFigures("1024x1024", 20, 12.0, Peak(3 * GIGABYTE))
PLAN = RunPlan(
    name="my-run",
    machine=Machine("Card", "cuda", 24 * GIGABYTE, 1),
    steps=3100,
    epochs=10,
    updates_per_epoch=310,
    shapes=(STEP,),
    starting=20.0,
    caching=CacheFigures((SIZE,), 1240, 3 * GIGABYTE, {Path("cache"): 3 * GIGABYTE}),
    validation=SeeingFigures(10, (SIZE,)),
    evaluation=SeeingFigures(2, (replace(SIZE, peak=None, each=0.0),)),
    saving=SavingFigures(12, 3, GIGABYTE, GIGABYTE // 2, 60.0, Path("output"), 100 * GIGABYTE),
)
OTHERS = (
    Alternative(("train_batch_size=1", "gradient_accumulation_steps=4"), True, 7 * GIGABYTE, 4.2, 1),
    Alternative(("optimizer=bnb-adamw8bit",), False, said="bitsandbytes is not there"),
)


def shown(plan: RunPlan, others: tuple[Alternative, ...] = ()) -> str:
    stream = io.StringIO()
    show(Console(file=stream, highlight=False, width=100), plan, others, NOW)
    return " ".join(stream.getvalue().split())


def test_everything_is_told_at_a_glance() -> None:
    text = shown(PLAN)
    for told in (
        "measured on Card, 24.0 GB; peak is what torch had in use on the card",
        "cats 1024x1024 2 x 2 3,100 310 61 9.8 GB 2.1",
        "run 3,100 updates, 10 epochs of 310",
        "time starting 20 s, caching 4 min, training 1 h 48 min, validation 4 min, checkpoints 13 min",
        "about 2 h 10 min; ends about Tue 11:09",
        "cache 1,240 latents missing, 3.0 GB with captions",
        "checkpoints 12 saves of 1.0 GB, 3 kept",
        "disk about 6.5 GB; 100.0 GB are free in output",
        "validation 20 pictures of 1024x1024: 12 s each, peak 3.0 GB",
        "evaluation 20 measured pictures of 1024x1024: does not fit",
    ):
        assert told in text, told
    assert "verdict" not in text
    assert "instead" not in text


def test_what_would_fit_instead() -> None:
    lost = replace(STEP, at_once=0, seconds=None, said="no memory")
    text = shown(replace(PLAN, shapes=(lost, STEP)), OTHERS)
    assert 'data set "cats", bucket 1.0 (1024x1024): no memory' in text
    assert "not every shape fits" in text
    text = shown(replace(PLAN, shapes=(STEP,)), OTHERS)
    assert "train_batch_size=1 7.0 GB 4.2 2.00 gradient_accumulation_steps=4" in text
    assert "bitsandbytes is not there" in text
    assert "nothing of this run fits" in shown(replace(PLAN, shapes=(lost,), saving=None))


def test_many_shapes_are_cut_and_processes_are_told() -> None:
    text = shown(replace(PLAN, shapes=(STEP,) * 45, machine=Machine("CPU", "cpu", None, 4)))
    assert "5 smaller" in text
    assert "one of 4 processes, without what they exchange; peak is the whole process in memory" in text


def test_only_updates_measured_is_only_that_told() -> None:
    assert list(lines(replace(PLAN, saving=None), NOW)) == [("run", "3,100 updates, 10 epochs of 310")]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (119, "119 s"), (121, "2 min"), (3599, "1 h 0 min"), (21000, "5 h 50 min"), (300_000, "3 d 11 h")],
)
def test_spans(seconds: float, told: str) -> None:
    assert _span(seconds) == told


def test_a_long_run_ends_on_a_date() -> None:
    slow = replace(PLAN, shapes=(replace(STEP, seconds=600.0),))
    assert "15 Dec" in " ".join(text for _, text in lines(slow, NOW))


def test_json_has_every_figure_with_its_unit() -> None:
    told = json.loads(json.dumps(plan_json(PLAN, OTHERS)))
    assert told["shapes"][0]["peak_bytes"] == int(9.8 * GIGABYTE)
    assert told["shapes"][0]["peak_reserved_bytes"] == 11 * GIGABYTE
    assert told["caching"]["bytes_by_folder"] == {"cache": 3 * GIGABYTE}
    assert told["checkpoints"]["bytes"] == 3.5 * GIGABYTE
    assert told["evaluation"]["sizes"][0]["peak_bytes"] is None
    assert told["seconds"]["total"] == pytest.approx(sum(PLAN.seconds.values()))
    assert [one["fits"] for one in told["alternatives"]] == [True, False]
    assert plan_json(replace(PLAN, saving=None), ())["checkpoints"] is None
