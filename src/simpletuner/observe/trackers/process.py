"""A tracker in a process of its own, as a listener: the run never waits for it, and ends it when it hangs."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from simpletuner.core.events import Event, RunEnded, RunStarted
from simpletuner.observe.background import come_forward, give_way
from simpletuner.observe.trackers.setup import Setup
from simpletuner.observe.trackers.waiting import Waiting
from simpletuner.observe.trackers.wire import Sent, pack

_log = logging.getLogger(__name__)
_COMMAND = ("-P", "-m", "simpletuner.observe.trackers.child")
_AT_END = 45.0


class TrackerProcess:
    """Tells one tracker. ``environ`` is that of its process; at the end it has ``at_end`` seconds for what is left."""

    def __init__(self, setup: Setup, environ: Mapping[str, str], at_end: float = _AT_END) -> None:
        self._setup = setup
        self._environ = dict(environ)
        self._at_end = at_end
        self._ending = 0.0
        self._waiting = Waiting()
        self._is_closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def hear(self, event: Event) -> None:
        """Put what trackers are told, from the start of training on; returns at once."""
        if isinstance(event, RunStarted) and self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._setup.tracker, daemon=True)
            self._thread.start()
        if isinstance(event, Sent) and self._thread is not None:
            self._waiting.put(event)
        if isinstance(event, RunEnded):
            # From here on, so that several trackers that hang are waited for once.
            self._ending = time.monotonic()

    def close(self) -> None:
        """Wait a bounded time for the tracker to send what is left, and end it."""
        if self._thread is None:
            return
        self._waiting.close()
        self._is_closing.set()
        if self._process is not None:
            come_forward(self._process.pid)
        began = self._ending or time.monotonic()
        self._thread.join(max(1.0, began + self._at_end - time.monotonic()))
        if self._thread.is_alive():
            told = "%s did not finish within %d s and was ended; what it has not sent lies in %s"
            _log.warning(told, self._setup.tracker, self._at_end, self._setup.folder)
            self._waiting.empty()
            self._end()
            self._thread.join(1.0)
        if self._waiting.lost:
            _log.warning("%s: %d events were not charted", self._setup.tracker, self._waiting.lost)

    def _end(self) -> None:
        """End the process and those that it started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _work(self) -> None:
        folder = Path(self._setup.folder)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{self._setup.tracker}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *_COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environ,
                # Ctrl-C in the terminal is for the run alone.
                start_new_session=True,
            )
            give_way(self._process.pid)
            if self._is_closing.is_set():
                come_forward(self._process.pid)
            # Closing the pipe of a process that is gone fails once more.
            with suppress(BrokenPipeError), self._process as process:
                assert process.stdin is not None
                assert process.stdout is not None
                relay = threading.Thread(target=self._relay, args=(process.stdout,), daemon=True)
                relay.start()
                with suppress(BrokenPipeError):
                    self._tell(process.stdin)
                relay.join()
        # Nobody takes what comes now.
        self._waiting.empty()

    def _tell(self, stream: IO[bytes]) -> None:
        stream.write(self._setup.line())
        while (event := self._waiting.take()) is not None:
            stream.write(pack(event))
            stream.flush()
        stream.close()

    def _relay(self, stream: IO[bytes]) -> None:
        """Log what the process says of itself."""
        for line in stream:
            said = json.loads(line)
            # An address that nobody sees is of no use, and nothing below a warning is shown.
            level = max(logging.WARNING, int(said["level"]))
            _log.log(level, "%s: %s", self._setup.tracker, said["text"])
