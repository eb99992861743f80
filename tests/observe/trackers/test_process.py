"""A tracker's process that dies, hangs or never starts: the teller does not wait for it."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simpletuner.core.events import Event, RunEnded
from simpletuner.observe.background import LATER
from simpletuner.observe.trackers.process import TrackerProcess
from simpletuner.observe.trackers.setup import Setup


@pytest.fixture
def packages(tmp_path: Path, clean: dict[str, str]) -> Iterator[Path]:
    """A folder in which the process finds its packages first."""
    folder = tmp_path / "packages"
    folder.mkdir()
    clean["PYTHONPATH"] = os.pathsep.join((str(folder), clean.get("PYTHONPATH", "")))
    yield folder


def listening(tmp_path: Path, clean: dict[str, str], at_end: float) -> TrackerProcess:
    return TrackerProcess(Setup("wandb", "p", "r", "ab", str(tmp_path / "wandb")), clean, at_end)


def tell(listener: TrackerProcess, events: list[Event], times: int = 1) -> float:
    """How long an event took its teller: 999 of 1000 took less, the others may have met a busy machine."""
    took = []
    for event in events * times:
        began = time.perf_counter()
        listener.hear(event)
        took.append(time.perf_counter() - began)
    return sorted(took)[len(took) * 999 // 1000]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_library_that_hangs_is_ended(
    packages: Path, clean: dict[str, str], events: list[Event], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # It connects to a server that never answers, as its second process does.
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = f"import os, socket, pathlib\npathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        (packages / "wandb.py").write_text(f"{text}socket.create_connection(('127.0.0.1', {port})).recv(1)\n")
        listener = listening(tmp_path, clean, 1.0)
        listener.hear(events[0])
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
        # It is not one that takes time from the training.
        assert os.getpriority(os.PRIO_PROCESS, int((tmp_path / "pid").read_text())) == LATER
        assert tell(listener, events, 2000) < 0.05
        began = time.monotonic()
        with caplog.at_level(logging.WARNING):
            listener.close()
        assert time.monotonic() - began < 5
    assert "wandb did not finish within 1 s and was ended" in caplog.text
    assert "events were not charted" in caplog.text
    assert not alive(int((tmp_path / "pid").read_text()))


def test_at_the_end_it_has_the_processor_like_anybody_else(
    packages: Path, clean: dict[str, str], events: list[Event], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waits = "while group.exists() and not group.read_text().endswith(' 0\\n'):\n    time.sleep(0.01)\n"
    group = "import pathlib, time\ngroup = pathlib.Path('/proc/self/autogroup')\n"
    (packages / "wandb.py").write_text(f"{group}{waits}raise RuntimeError('had its turn')\n")
    listener = listening(tmp_path, clean, 30.0)
    with caplog.at_level(logging.WARNING):
        tell(listener, events)
        listener.close()
    assert "had its turn" in caplog.text


def test_a_library_that_raises_is_told_once(
    packages: Path, clean: dict[str, str], events: list[Event], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (packages / "wandb.py").write_text("print('some words')\nraise RuntimeError('broken library')\n")
    listener = listening(tmp_path, clean, 30.0)
    with caplog.at_level(logging.WARNING):
        tell(listener, events)
        listener.close()
    assert [record.getMessage() for record in caplog.records] == [
        "wandb: Tracker failed, training goes on (told once): RuntimeError: broken library"
    ]
    # What a library prints is in its log, not on the run's screen.
    assert (tmp_path / "wandb" / "wandb.log").read_text() == "some words\n"


def test_a_process_that_dies_is_no_trouble(
    packages: Path, clean: dict[str, str], events: list[Event], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (packages / "wandb.py").write_text("import os\nos._exit(1)\n")
    listener = listening(tmp_path, clean, 30.0)
    with caplog.at_level(logging.WARNING):
        tell(listener, events[:-1], 500)
        listener.close()
    assert "were not charted" in caplog.text


def test_a_run_that_never_began_starts_no_process(tmp_path: Path, clean: dict[str, str]) -> None:
    listener = listening(tmp_path, clean, 30.0)
    listener.hear(RunEnded(0, "failed", 1.0))
    listener.close()
    assert not (tmp_path / "wandb").exists()
