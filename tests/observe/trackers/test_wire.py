from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.core.events import Evaluated, ImagesRendered, Picture, RunEnded, RunStarted, StepDone
from simpletuner.observe.trackers.wire import Sent, pack, unpack


@pytest.mark.parametrize(
    "event",
    [
        RunStarted("名前", Path("/out"), 0, 9, 1, ("one", "two")),
        StepDone(1, 1, 9, 0.1 + 0.2, 1e-3, 0.1, 4, {"grad_norm": float("inf")}, "checkpoint-1"),
        Evaluated(2, 1, {"loss/val/a": 1e-9}),
        ImagesRendered(3, "benchmark", (Picture(Path("/a b.png"), "cat", "a\ncat", 64, 48, 0.3),)),
        RunEnded(4, "failed", 1.0, "why", "where"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_arrives_as_it_was(event: Sent) -> None:
    line = pack(event)
    assert line.count(b"\n") == 1
    assert unpack(line) == event


def test_pictures_are_named_in_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    arrived = unpack(pack(ImagesRendered(1, "validation", (Picture(Path("a.png"), "cat", "", 1, 1),))))
    assert isinstance(arrived, ImagesRendered)
    assert arrived.pictures[0].path == tmp_path / "a.png"
