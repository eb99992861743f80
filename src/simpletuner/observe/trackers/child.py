"""The process of one tracker: the run's events come in on stdin, one a line; what it has to say goes out on stdout.

A library of a tracker may hang, patch other libraries, print, or keep a program from ending. Here none of that
touches the run, which can end this process at any time.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

from simpletuner.observe.fan_out import FanOut
from simpletuner.observe.trackers.comet import open_comet
from simpletuner.observe.trackers.setup import Door, Setup
from simpletuner.observe.trackers.swanlab import open_swanlab
from simpletuner.observe.trackers.tracker import Tracker
from simpletuner.observe.trackers.wandb import open_wandb
from simpletuner.observe.trackers.wire import unpack

DOORS: Mapping[str, Callable[[Setup], Door]] = {
    "wandb": open_wandb,
    "comet_ml": open_comet,
    "swanlab": open_swanlab,
}


class _Report(logging.Handler):
    """What our own code logs here, as lines for the run."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        line = json.dumps({"level": record.levelno, "text": record.getMessage()})
        self._stream.write(line + "\n")
        self._stream.flush()


def main() -> None:
    """Serve one tracker until stdin ends."""
    # Ctrl-C is for the run, which then tells how it ended.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints belongs into the log, not between our lines.
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.getLogger("simpletuner").addHandler(_Report(reports))
    logging.getLogger("simpletuner").setLevel(logging.INFO)
    setup = Setup.read(sys.stdin.buffer.readline())
    fan_out = FanOut([Tracker(lambda: DOORS[setup.tracker](setup))])
    for line in sys.stdin.buffer:
        fan_out(unpack(line))
    fan_out.close()


if __name__ == "__main__":
    main()
