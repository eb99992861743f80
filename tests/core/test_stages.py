"""A stage is told when it begins and how it ends, and what ends it is passed on."""

from __future__ import annotations

import pytest

from simpletuner.core.errors import DataError, Interrupted, Terminated
from simpletuner.core.events import Event, StageChanged
from simpletuner.core.stages import told_stage


def test_a_stage_runs_and_is_completed() -> None:
    told: list[Event] = []
    with told_stage(told.append, "model_save"):
        assert told == [StageChanged("model_save", "", "running")]
    assert told[1:] == [StageChanged("model_save", "", "completed")]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DataError("no picture"), "failed"),
        (ZeroDivisionError(), "failed"),
        (MemoryError(), "skipped"),
        (Interrupted("stopped"), "cancelled"),
        (Terminated("stopped"), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
def test_what_ends_it_is_told_and_passed_on(error: BaseException, status: str) -> None:
    told: list[Event] = []
    with (
        pytest.raises(type(error)),
        told_stage(told.append, "validation", lambda error: isinstance(error, MemoryError)),
    ):
        raise error
    assert told == [StageChanged("validation", "", "running"), StageChanged("validation", "", status)]
