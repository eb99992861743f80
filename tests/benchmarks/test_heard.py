"""What the clock at the listeners notes, and which steps count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.heard import Clock, Note, Step, clean_steps, main, read
from simpletuner.core.events import Event, Notice, StepDone
from simpletuner.observe.fan_out import FanOut


@pytest.fixture
def clock() -> Iterator[Clock]:
    listen = FanOut.__call__
    yield Clock()
    FanOut.__call__ = listen  # type: ignore[method-assign]


class Slow:
    """Takes its time, and none of the processor's."""

    def hear(self, event: Event) -> None:
        del event
        time.sleep(0.05)

    def close(self) -> None:
        """Nothing."""


def noted(*kinds: tuple[str, int, float]) -> list[Note]:
    return [Note(kind, step, 0.0, 0.0, wall, wall / 2, wall / 4) for kind, step, wall in kinds]


def test_it_notes_how_long_who_listens_took(clock: Clock) -> None:
    listeners = FanOut([Slow()])
    listeners(StepDone(7, 1, 9, 0.5, 1e-3, 0.1, 2))
    listeners(Notice("a word"))
    assert [(note.kind, note.step) for note in clock.notes] == [("StepDone", 7), ("Notice", 0)]
    assert all(note.listening >= 0.05 > 5 * note.computing for note in clock.notes)
    assert clock.notes[1].wall - clock.notes[0].wall >= 0.05


def test_only_steps_between_which_nothing_else_was_told_count() -> None:
    steps = noted(("RunStarted", 0, 0.0), ("StepDone", 1, 9.0), ("StepDone", 2, 10.0), ("StepDone", 3, 12.0))
    drawn = noted(("ImagesRendered", 0, 20.0), ("StepDone", 4, 21.0), ("StepDone", 5, 21.5))
    # After a fault a run goes back.
    again = noted(("StepDone", 5, 22.0))
    assert clean_steps([*steps, *drawn, *again]) == {
        2: Step(1.0, 0.5, 0.25),
        3: Step(2.0, 1.0, 0.5),
        5: Step(0.5, 0.25, 0.125),
    }


def test_the_command_runs_what_follows(clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del clock  # is put back
    assert main([str(tmp_path / "notes.json"), "--version"]) == 0
    assert capsys.readouterr().out
    notes, whole = read(tmp_path / "notes.json")
    assert notes == []
    assert whole["seconds"] > 0
