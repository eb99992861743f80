from __future__ import annotations

import logging

import pytest

from simpletuner.core.events import Event, Notice
from simpletuner.observe.fan_out import FanOut


class Diary:
    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.closed = 0

    def hear(self, event: Event) -> None:
        self.heard.append(event)

    def close(self) -> None:
        self.closed += 1


class Broken(Diary):
    def hear(self, event: Event) -> None:
        super().hear(event)
        raise OSError("disk full") if len(self.heard) < 4 else ValueError("other")

    def close(self) -> None:
        raise RuntimeError("cannot close")


class Stopping(Diary):
    def hear(self, event: Event) -> None:
        raise KeyboardInterrupt


def test_every_listener_hears_every_event_although_one_raises(caplog: pytest.LogCaptureFixture) -> None:
    first, broken, last = Diary(), Broken(), Diary()
    emit = FanOut([first, broken, last])
    events = [Notice(str(number)) for number in range(5)]
    with caplog.at_level(logging.WARNING):
        for event in events:
            emit(event)
    assert first.heard == broken.heard == last.heard == events
    assert [record.getMessage() for record in caplog.records] == [
        "Broken failed, training goes on (told once): OSError: disk full",
        "Broken failed, training goes on (told once): ValueError: other",
    ]


def test_close_reaches_those_after_one_that_cannot() -> None:
    last = Diary()
    FanOut([Broken(), last]).close()
    assert last.closed == 1


def test_an_interrupt_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        FanOut([Stopping()])(Notice("stop"))
