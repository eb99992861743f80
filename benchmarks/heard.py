"""The trainer's command, with a clock at its listeners: ``python -m benchmarks.heard FILE train ...``.

Each event that the main thread tells leaves a note: how long the listeners took, and the clocks when they were done.
The notes stay in memory until the run is over and are then written to FILE.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simpletuner.cli.main import run
from simpletuner.core.events import Event, StepDone
from simpletuner.core.files import write_json
from simpletuner.observe.fan_out import FanOut


@dataclass(frozen=True)
class Note:
    """One event. ``step`` is that of a step, 0 of anything else; ``listening`` are the seconds that the run waited for
    its listeners, ``computing`` those in which this took the processor. The last three are clocks at its end: of the
    wall, and of the processor time of the thread that trains and of the whole process.
    """

    kind: str
    step: int
    listening: float
    computing: float
    wall: float
    thread: float
    process: float


@dataclass(frozen=True)
class Step:
    """Seconds from the end of one step's telling to that of the next, with nothing but the step between them."""

    wall: float
    thread: float
    process: float


class Clock:
    """Takes the place of ``FanOut.__call__`` from its making on, for this process."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        listen, main = FanOut.__call__, threading.main_thread()

        def timed(listeners: FanOut, event: Event) -> None:
            wall, thread = time.perf_counter(), time.thread_time()
            listen(listeners, event)
            if threading.current_thread() is main:
                self.notes.append(_note(event, wall, thread))

        FanOut.__call__ = timed  # type: ignore[method-assign]


def _note(event: Event, wall: float, thread: float) -> Note:
    clocks = (time.perf_counter(), time.thread_time(), time.process_time())
    step = event.step if isinstance(event, StepDone) else 0
    return Note(type(event).__name__, step, clocks[0] - wall, clocks[1] - thread, *clocks)


def read(file: Path) -> tuple[list[Note], dict[str, Any]]:
    """The notes, and what the run as a whole took."""
    content = json.loads(file.read_text(encoding="utf-8"))
    return [Note(**note) for note in content["notes"]], content["whole"]


def clean_steps(notes: Iterable[Note]) -> dict[int, Step]:
    """The steps between which nothing was drawn, evaluated, saved or told, by their number; never the first."""
    found: dict[int, Step] = {}
    last: Note | None = None
    for note in notes:
        if last and last.step and note.step == last.step + 1:
            taken = (note.wall - last.wall, note.thread - last.thread, note.process - last.process)
            found[note.step] = Step(*taken)
        last = note
    return found


def main(words: Sequence[str]) -> int:
    """Run the command and write what it took; its exit code."""
    clock, began = Clock(), time.perf_counter()
    code = run(list(words[1:]))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = {
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time(),
        "processor_seconds_of_children": children.ru_utime + children.ru_stime,
    }
    write_json(Path(words[0]), {"notes": [asdict(note) for note in clock.notes], "whole": whole})
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
