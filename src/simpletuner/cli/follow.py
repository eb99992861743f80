"""A process that a launcher of ours started ends in good order when the launcher is gone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping

from simpletuner.cli.launch import PIPE


def follow_launcher(environ: Mapping[str, str]) -> None:
    """Ask this process to stop, as SIGTERM does, when its launcher has ended without telling it."""
    if PIPE in environ:
        threading.Thread(target=_wait_for_end, args=(int(environ[PIPE]),), daemon=True).start()


def _wait_for_end(pipe: int) -> None:
    # Nothing is ever written; the read returns when the launcher's end of the pipe is closed.
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)
