"""Room on the disk before a save: what is asked for, and what is done where it is missing (SPEC 2.10)."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simpletuner.config.sections.report import CheckpointConfig
from simpletuner.core.disk import as_bytes, free_bytes, shown_bytes
from simpletuner.core.errors import DataError
from simpletuner.core.events import Emit, Notice

_CHECKED_EVERY = 30
_SCRIPT_MAY_TAKE = 3600


@dataclass(frozen=True)
class DiskRoom:
    """Looks for ``config.disk_low_threshold`` in ``folder``.

    ``asked_to_stop`` ends a wait; ``pause`` sleeps for so many seconds.
    """

    folder: Path
    config: CheckpointConfig
    emit: Emit
    asked_to_stop: Callable[[], bool]
    pause: Callable[[float], None] = time.sleep

    def require(self) -> None:
        """Return when there is room, or when a signal ended the wait: the save may still fit.

        Raises DataError when there is none, or when ``disk_low_script`` fails.
        """
        if self._missing() is None:
            return
        match self.config.disk_low_action:
            case "wait":
                self._wait()
            case "script":
                self._run_script()
                self._require()
            case _:
                self._require()

    def _missing(self) -> str | None:
        if self.config.disk_low_threshold is None:
            return None
        wanted, free = as_bytes(self.config.disk_low_threshold), free_bytes(self.folder)
        return None if free >= wanted else f"{shown_bytes(free)} free, {shown_bytes(wanted)} wanted before a save"

    def _require(self) -> None:
        if missing := self._missing():
            cure = "make room, or lower disk_low_threshold; the same command goes on from the last checkpoint"
            raise DataError(f"the disk is low: {missing}", file=self.folder, key="disk_low_threshold", cure=cure)

    def _wait(self) -> None:
        self.emit(Notice(f"the disk is low: {self._missing()}; looking again every {_CHECKED_EVERY} s", "warning"))
        while self._missing() is not None:
            for _ in range(_CHECKED_EVERY):
                if self.asked_to_stop():
                    return
                self.pause(1)
        self.emit(Notice("there is room on the disk again"))

    def _run_script(self) -> None:
        words = shlex.split(self.config.disk_low_script or "")
        self.emit(Notice(f"the disk is low: {self._missing()}; running {words[0]}", "warning"))
        try:
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL, timeout=_SCRIPT_MAY_TAKE)
        except (OSError, subprocess.SubprocessError) as error:
            cure = "mend the script, or make room"
            raise DataError(f"failed: {error}", file=words[0], key="disk_low_script", cure=cure) from error
