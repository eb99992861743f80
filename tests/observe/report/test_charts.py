from __future__ import annotations

import math
from typing import Any

from simpletuner.observe.report.charts import charts, evaluated, series, smoothed


def records() -> list[dict[str, Any]]:
    """A run of 30 steps with two evaluations, a base model's and CLIP scores."""
    found: list[dict[str, Any]] = [
        {
            "step": 0,
            "epoch": 1,
            "loss/val/a/base": 2.0,
            "chart/loss/val/a/base/0.500": 2.0,
            "chart/loss/val/a/base/0.100": 4.0,
        }
    ]
    for step in range(1, 31):
        record: dict[str, Any] = {"step": step, "epoch": 1, "train_loss": 1 / step, "learning_rate": 1e-3}
        record |= {
            "loss/bin/0": 2.0,
            "loss/bin/4": 1.0,
            "loss/explained": 0.5,
            "loss/linear_reference": 1.5,
            "step_seconds": 0.5,
            "odd": 3.0,
        }
        if step % 15 == 0:
            record |= {"loss/val/a": 1.0, "loss/val/a/se": 0.1, "loss/val/a/gain": 1.0, "loss/val/a/gain/se": 0.2}
            record |= {"loss/val/a/base": 2.0, "chart/loss/val/a/0.500": 1.0, "chart/loss/val/a/0.100": 3.0}
            record |= {"clip/mean": 0.3, "clip/min": 0.2, "clip/max": 0.4, "clip/std": 0.05}
        found.append(record)
    return found


def test_every_number_finds_its_chart() -> None:
    made = {chart.title: chart for chart in charts(records())}
    assert list(made) == [
        "Training loss",
        "Evaluation loss: a",
        "Better than the base model: a",
        "Variance explained",
        "Loss by noise level, smoothed",
        "Evaluation loss by timestep: a",
        "CLIP score of the validation pictures",
        "Learning rate",
        "Seconds a step",
        "odd",
    ]
    loss = made["Training loss"]
    assert [(line.name, line.kind) for line in loss.lines] == [
        ("training loss", "faint"),
        ("training loss, smoothed", "plain"),
        ("linear reference", "dashed"),
    ]
    assert [line.name for line in made["Loss by noise level, smoothed"].lines] == ["sigma 0 to 0.2", "sigma 0.8 to 1"]


def test_a_mean_has_its_error_as_a_band() -> None:
    made = {chart.title: chart for chart in charts(records())}
    held_out, base = made["Evaluation loss: a"].lines
    assert held_out.points == ((15, 1.0), (30, 1.0))
    step, low, high = held_out.band[0]
    assert (step, round(low, 3), round(high, 3)) == (15, 0.8, 1.2)
    assert (base.points[0], base.band) == ((0, 2.0), ())
    (scores,) = made["CLIP score of the validation pictures"].lines
    assert scores.band == ((15, 0.2, 0.4), (30, 0.2, 0.4))


def test_a_curve_is_drawn_over_time_from_the_base_to_the_last() -> None:
    (chart,) = (chart for chart in charts(records()) if chart.x_name == "timestep")
    assert [(line.name, line.points) for line in chart.lines] == [
        ("base model", ((100, 4.0), (500, 2.0))),
        ("step 15", ((100, 3.0), (500, 1.0))),
        ("step 30", ((100, 3.0), (500, 1.0))),
    ]


def test_of_many_curves_the_first_the_middle_and_the_last_are_shown() -> None:
    found = [{"step": step, "loss/val/a": 1.0, "chart/loss/val/a/0.5": 1.0} for step in range(9)]
    (chart,) = (chart for chart in charts(found) if chart.x_name == "timestep")
    assert [line.name for line in chart.lines] == ["step 0", "step 4", "step 8"]


def test_names_may_have_slashes_and_nothing_makes_no_chart() -> None:
    found = [{"step": 1, "loss/val/a/b/gain/se": 1.0, "loss/val/a/b": 1.0, "loss/val/pooled": 1.0}]
    assert evaluated(found) == ["a/b", "pooled"]
    assert charts([]) == []
    assert charts([{"step": 1, "epoch": 1, "train_loss": None, "resumed_from": "checkpoint-1"}]) == []


def test_a_number_that_is_none_is_left_out() -> None:
    assert series([{"step": 1, "a": None}, {"step": 2, "a": 1}, {"step": 3}], "a") == ((2, 1.0),)
    assert smoothed(((1, 2.0), (2, 2.0))) == ((1, 2.0), (2, 2.0))
    assert not math.isnan(smoothed(((1, 2.0),))[0][1])
