"""Uploads one after the other, each in a process of its own, beside a run that goes on."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO

from simpletuner.observe.background import come_forward, give_way
from simpletuner.observe.publish.job import Answer, Job, read_answer

MOST_WAITING = 2
_LOOK = 0.1
_OWN = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
_DOORS = {
    "login": "simpletuner.observe.publish.hub",
    "hub": "simpletuner.observe.publish.hub",
    "store": "simpletuner.observe.publish.store",
    "fetch": "simpletuner.observe.publish.store",
}


@dataclass
class Parcel:
    """A job on its way. ``answer`` is there when ``is_over`` is set."""

    job: Job
    is_over: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None

    def end(self, answer: Answer) -> None:
        """It ended so."""
        self.answer = answer
        self.is_over.set()


class Courier:
    """Takes jobs, and never holds up who brings them.

    When more than ``MOST_WAITING`` wait, because uploads are slower than what is made, the oldest of those is given up.
    """

    def __init__(self, environ: Mapping[str, str], scrub: Callable[[str], str]) -> None:
        """``environ`` is that of the uploading process; ``scrub`` hides secrets in what it has said."""
        self._environ = {**environ, **_OWN}
        self._scrub = scrub
        self._waiting: deque[Parcel] = deque()
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False
        self._is_waited_for = False
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)
        self._thread.start()

    def send(self, job: Job, *, is_last: bool = False) -> Parcel:
        """Let it be uploaded when its turn comes; with ``is_last`` nothing is given up for it."""
        parcel = Parcel(job)
        with self._changed:
            self._waiting.append(parcel)
            if len(self._waiting) > MOST_WAITING and not is_last:
                self._waiting.popleft().end(Answer("given_up", "uploads are slower than checkpoints are made"))
            self._changed.notify()
        return parcel

    def wait(self, parcel: Parcel, is_asked_to_stop: Callable[[], bool]) -> Answer | None:
        """What the parcel ended in; None as soon as the run is asked to stop."""
        with self._changed:
            self._is_waited_for, process = True, self._process
        if process is not None:
            come_forward(process.pid)
        while not parcel.is_over.wait(_LOOK):
            if is_asked_to_stop():
                return None
        self._is_waited_for = False
        return parcel.answer

    def close(self) -> None:
        """End what is under way, at once, and drop what waits."""
        with self._changed:
            self._is_closed = True
            while self._waiting:
                self._waiting.popleft().end(Answer("given_up", "the run has ended"))
            if self._process is not None:
                self._process.kill()
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while parcel := self._next():
            parcel.end(self._carried(parcel.job))

    def _next(self) -> Parcel | None:
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            return None if self._is_closed else self._waiting.popleft()

    def _carried(self, job: Job) -> Answer:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            process = self._started(job, said)
            if process is None:
                return Answer("given_up", "the run has ended")
            if not self._is_waited_for:
                give_way(process.pid)
            limit = threading.Timer(job.seconds, process.kill)
            limit.start()
            try:
                return self._heard(process, job, said)
            finally:
                limit.cancel()
                self._over(process)

    def _started(self, job: Job, said: IO[str]) -> subprocess.Popen[str] | None:
        """The process with its job; Ctrl-C is for the run, so it has a session of its own."""
        with self._changed:
            if self._is_closed:
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-m", _DOORS[job.kind]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=self._environ,
                text=True,
                start_new_session=True,
            )
            return self._process

    def _heard(self, process: subprocess.Popen[str], job: Job, said: IO[str]) -> Answer:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(job.as_line())
            process.stdin.flush()
            answer = read_answer(process.stdout.readline())
            return Answer(answer.outcome, self._scrub(answer.reason), self._scrub(answer.where))
        except (OSError, ValueError):
            process.wait()
            return Answer("unreachable", self._last_words(process.returncode, job, said))

    def _last_words(self, code: int, job: Job, said: IO[str]) -> str:
        """Why there is no answer."""
        if code == -9:
            return f"it was not done within {job.seconds:.0f} s"
        said.seek(0)
        lines = [line.strip() for line in said.read().splitlines() if line.strip()]
        last = self._scrub(lines[-1][:300]) if lines else f"exit code {code}"
        return f"the process that uploads died ({last})"

    def _over(self, process: subprocess.Popen[str]) -> None:
        with self._changed:
            self._process = None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()
