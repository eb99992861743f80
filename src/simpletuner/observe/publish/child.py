"""What the processes that upload have in common: one job in, tried several times, one answer out.

A process of its own can be ended at any moment, whatever a library waits for, takes no time from the training thread,
and a library that dies takes nothing with it. The job comes through a pipe: nothing secret stands in the list of
processes. When the run is gone the pipe breaks, and this process ends.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simpletuner.core.errors import SimpletunerError
from simpletuner.observe.publish.job import TRIES, Answer, Job, pause_after, read_job

_LEFT_ALONE = 3


@dataclass(frozen=True)
class Door:
    """A way out. ``acts`` does a job of each kind; of ``faults`` that it may end in, ``refusal`` says why another try
    is of no use (None where it may be of use), and ``mishap`` what went wrong.
    """

    acts: Mapping[str, Callable[[Job], Answer]]
    faults: tuple[type[Exception], ...]
    refusal: Callable[[Exception], str | None]
    mishap: Callable[[Exception], str]


def done(job: Job, door: Door, wait: Callable[[float], None] = time.sleep) -> Answer:
    """Do the job, several times where that may help; what it ended in."""
    most = 1 if job.kind == "login" else TRIES
    mishap = ""
    for tries in range(1, most + 1):
        try:
            return door.acts[job.kind](job)
        except SimpletunerError as error:
            return Answer("refused", str(error))
        except door.faults as error:
            if told := door.refusal(error):
                return Answer("refused", told)
            mishap = door.mishap(error)
        if tries < most:
            wait(pause_after(tries))
    return Answer("unreachable", f"{mishap}, {most} times" if most > 1 else mishap)


def _end_with_the_run() -> None:
    sys.stdin.read()
    os._exit(_LEFT_ALONE)


def serve(door: Door) -> None:
    """Read a job, do it, write the answer, end."""
    job = read_job(sys.stdin.readline())
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    answer = done(job, door)
    sys.stdout.write(answer.as_line())
    sys.stdout.flush()
    # Threads of a library that still wait for a server are of no use to anybody.
    os._exit(0)
