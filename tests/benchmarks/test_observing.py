"""Runs watched, in trouble and alone are compared step by step, and their weights are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.heard import Note, Step
from benchmarks.observing import _TOLD, Taken, Trial, compared, main, observing
from simpletuner.config.reading.find import example_folder

ROOT = Path(__file__).resolve().parents[2]


def notes(seconds: float, listening: float) -> list[Note]:
    return [Note("StepDone", step, listening, 0.0, seconds * step, step, step) for step in range(1, 6)]


class Told(Trial):
    """Runs that are done already."""

    def alone(self, name: str) -> Taken:
        return Taken(notes(1.0, 0.001), {"seconds": 5.0}, "same", {})

    def watched(self, name: str) -> Taken:
        return Taken(notes(1.25 if name == "watched-1" else 1.125, 0.002), {"seconds": 6.0}, "same", {"messages": 3})

    def in_trouble(self, name: str) -> Taken:
        return Taken(notes(1.0, 0.25), {"seconds": 6.0}, "other", {})


def test_each_way_is_beside_alone(tmp_path: Path) -> None:
    found = observing(Told(tmp_path, 5), 3)
    assert not found["same_weights"]
    assert found["seen_of_watched"] == {"messages": 3}
    watched, alone, trouble = (found[name] for name in ("watched", "alone", "in_trouble"))
    assert (alone["wall_a_step"], watched["wall_a_step"]) == (1.0, 1.125)
    assert watched["slower_wall_median"] == 0.125
    assert watched["slower_wall_mean_range"] == [0.125, 0.25]
    assert watched["slower_thread_median"] == 0
    assert "slower_wall_median" not in alone
    assert (trouble["longest_delay_of_a_step"], trouble["steps_delayed_too_long"]) == (0.25, 15)
    assert watched["steps_delayed_too_long"] == 0
    assert watched["listening_seconds"] == {"StepDone": pytest.approx(0.01)}
    assert watched["seconds"] == 6.0


def test_steps_are_compared_that_both_have() -> None:
    one = {2: Step(2.0, 1.0, 1.0), 3: Step(2.0, 1.0, 1.0), 4: Step(8.0, 1.0, 1.0), 9: Step(99.0, 1.0, 1.0)}
    other = {2: Step(1.0, 1.0, 2.0), 3: Step(1.0, 1.0, 2.0), 4: Step(1.0, 1.0, 2.0)}
    found = compared(one, other)
    assert (found["wall_median"], found["wall_mean"]) == (1.0, 3.0)
    assert (found["thread_mean"], found["process_mean"]) == (0.0, -0.5)


def test_pictures_are_held_out(tmp_path: Path) -> None:
    trained, held, *_ = json.loads(Trial(tmp_path, 1)._data("run").read_text())
    assert Path(trained["instance_data_dir"]) == example_folder("emoji-style") / "images"
    assert held["dataset_type"] == "eval"
    for file in Path(held["instance_data_dir"]).iterdir():
        assert file.read_bytes() != (Path(trained["instance_data_dir"]) / file.name).read_bytes()


@pytest.mark.long
def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "observing.json"
    main(["--quick", "--work", str(tmp_path), "--json", str(file)])
    found: dict[str, Any] = json.loads(file.read_text())["observing"]
    assert found["same_weights"]
    seen = found["seen_of_watched"]
    assert seen["previews_after"] == ["5/10", "10/10"]
    assert seen["previews_without_picture"] == 0
    assert seen["told"] == sorted(_TOLD)
    assert (seen["points_of_the_curve"], seen["page"], seen["tensorboard"], seen["logs"]) == (2, True, True, [])
    assert seen["pictures"] > 0
    assert {"Evaluated", "ImagesRendered", "PreviewDrawn"} < found["watched"]["listening_seconds"].keys()
    assert {"Evaluated", "ImagesRendered"}.isdisjoint(found["alone"]["listening_seconds"])
    assert found["watched"]["longest_delay_of_a_step"] > 0
    assert list(tmp_path.iterdir()) == [file]


def test_the_page_states_what_the_results_say() -> None:
    """docs/trackers.md: what being watched costs."""
    (file,) = (ROOT / "benchmarks" / "results").glob("observing-*-cpu.json")
    found = json.loads(file.read_text())["observing"]
    assert found["same_weights"]
    assert found["seen_of_watched"]["previews_after"] == ["5/20", "10/20", "15/20", "20/20"]
    for way, cost, wait in (("watched", 0.025, 0.003), ("in_trouble", 0.017, 0.001)):
        assert found[way]["slower_wall_median"] < cost
        assert found[way]["longest_delay_of_a_step"] < wait
        assert found[way]["steps_delayed_too_long"] == 0
