from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.events import CheckpointSaved, Evaluated, ImagesRendered, Picture, RunEnded, RunStarted, StepDone
from simpletuner.observe.progress import (
    Smoothed,
    Training,
    duration,
    evaluated_line,
    percent,
    printable,
    rendered_line,
    saved_line,
    speed,
    summary_lines,
)


def folded(values: list[float]) -> Smoothed:
    mean = Smoothed()
    for value in values:
        mean = mean.add(value)
    return mean


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_the_smoothed_value_lies_between_the_values(values: list[float]) -> None:
    assert min(values) - 1e-6 <= folded(values).mean <= max(values) + 1e-6


def test_smoothing_is_not_drawn_to_zero_and_follows_the_last_values() -> None:
    assert folded([3.0]).mean == pytest.approx(3.0)
    assert folded([1.0] * 50 + [2.0] * 200).mean == pytest.approx(2.0, abs=0.02)


def test_one_nan_does_not_poison_the_mean() -> None:
    assert folded([1.0, math.nan, math.inf, 1.0]).mean == pytest.approx(1.0)
    assert math.isnan(Smoothed().mean)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (59.6, "0:01:00"), (3754, "1:02:34"), (90000, "25:00:00"), (math.nan, "-:--:--")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_speed_names_the_unit_whose_number_is_above_one() -> None:
    assert speed(0.125) == "8.00 it/s"
    assert speed(12.5) == "12.50 s/it"
    assert speed(math.nan) == speed(0.0) == "- it/s"


@given(st.integers(1, 10**6), st.data())
def test_hundred_percent_means_all(total: int, data: st.DataObject) -> None:
    done = data.draw(st.integers(0, total))
    assert (percent(done, total) == "100%") == (done == total)


def test_time_left_is_the_updates_left_at_the_present_pace() -> None:
    training = Training.at_start(RunStarted("run", Path("out"), 40, 100, 3), 5.0)
    assert math.isnan(training.seconds_left)
    later = training.after(StepDone(60, 2, 100, 0.5, 1e-4, 2.0, 4))
    assert later.seconds_left == pytest.approx(80.0)
    assert later.facts() == ("epoch 2/3", "smoothed loss 0.5000", "lr 1.00e-04", "2.00 s/it")
    assert training.step == 40


def test_control_codes_never_reach_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc\x9b日本") == "a [31mb c 日本"


def test_lines_name_places_as_seen_from_the_output_folder() -> None:
    pictures = tuple(Picture(Path("out/validation_images/x.png"), name, "p", 8, 8) for name in "aabcde")
    rendered = rendered_line(ImagesRendered(5, "validation", pictures), "out")
    assert rendered == "step 5: 6 validation pictures (a, b, c and 2 more) in validation_images"
    assert saved_line(CheckpointSaved(5, Path("out/checkpoint-5")), "out") == "step 5: checkpoint saved in checkpoint-5"
    assert saved_line(CheckpointSaved(5, Path("/far/c-5")), "out") == "step 5: checkpoint saved in /far/c-5"
    assert evaluated_line(Evaluated(5, 1, {"loss/val/a": 0.51234})) == "step 5: loss/val/a 0.5123"


def test_the_summary_counts_the_steps_of_this_run() -> None:
    training = Training.at_start(RunStarted("run", Path("out"), 400, 1000, 3), 0.0)
    assert summary_lines(RunEnded(1000, "completed", 754.0), training, "out") == (
        "completed: 600 steps (from step 400 to 1000) in 0:12:34",
        "result in out",
    )
    fresh = Training.at_start(RunStarted("run", Path("out"), 0, 1000, 3), 0.0)
    assert summary_lines(RunEnded(1, "failed", 2.0, "out of memory"), fresh, "out") == (
        "FAILED: 1 step in 0:00:02",
        "saved so far in out",
    )
