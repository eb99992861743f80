from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from simpletuner.core.events import Evaluated, ImagesRendered, Notice, Picture, RunEnded, StepDone
from simpletuner.observe.trackers.setup import Points
from simpletuner.observe.trackers.tracker import Tracker, curves_apart, finite


class Book:
    """A door that keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def numbers(self, step: int, epoch: int, numbers: Mapping[str, float]) -> None:
        self.asked.append((step, epoch, dict(numbers)))

    def curve(self, step: int, name: str, points: Points) -> None:
        self.asked.append((step, name, list(points)))

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        self.asked.append((step, [picture.nickname for picture in pictures]))

    def finish(self, *, completed: bool) -> None:
        self.asked.append(completed)


def test_every_kind_of_news_has_its_place() -> None:
    book = Book()
    tracker = Tracker(lambda: book)
    tracker.hear(Notice("nobody charts it"))
    tracker.hear(StepDone(1, 2, 9, 0.5, 1e-3, 0.1, 4, {"grad_norm": math.inf}))
    tracker.hear(
        Evaluated(1, 2, {"loss/val/a": 1.0, "chart/loss/val/a/0.500": 2.0, "chart/loss/val/a/base/0.250": 3.0})
    )
    tracker.hear(ImagesRendered(1, "validation", (Picture(Path("a.png"), "cat", "a cat", 8, 8),)))
    tracker.hear(ImagesRendered(1, "validation", ()))
    tracker.hear(RunEnded(1, "completed", 1.0))
    tracker.close()
    assert book.asked == [
        (1, 2, {"train_loss": 0.5, "learning_rate": 1e-3, "epoch": 2, "step_seconds": 0.1}),
        (1, 2, {"loss/val/a": 1.0}),
        (1, "chart/loss/val/a", [(500, 2.0)]),
        (1, "chart/loss/val/a/base", [(250, 3.0)]),
        (1, ["cat"]),
        True,
    ]


def test_a_run_that_did_not_end_well_is_told_so() -> None:
    book = Book()
    tracker = Tracker(lambda: book)
    tracker.hear(StepDone(1, 1, 9, 0.5, 1e-3, 0.1, 4))
    tracker.close()
    assert book.asked[-1] is False


def test_what_cannot_be_opened_is_tried_once() -> None:
    tries = []

    def fail() -> Book:
        tries.append(1)
        raise OSError("no server")

    tracker = Tracker(fail)
    with pytest.raises(OSError, match="no server"):
        tracker.hear(StepDone(1, 1, 9, 0.5, 1e-3, 0.1, 4))
    tracker.hear(StepDone(2, 1, 9, 0.5, 1e-3, 0.1, 4))
    tracker.close()
    assert tries == [1]


def test_curves_are_in_order_of_time_and_numbers_finite() -> None:
    numbers, curves = curves_apart({"a": 1.0, "chart/b/0.900": 2.0, "chart/b/0.100": 3.0, "chart/b/0.500": math.nan})
    assert (numbers, curves) == ({"a": 1.0}, {"chart/b": [(100, 3.0), (900, 2.0)]})
    assert finite({"a": 1.0, "b": math.nan, "c": -math.inf}) == {"a": 1.0}
