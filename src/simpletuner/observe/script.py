"""`post_checkpoint_script` and `post_upload_script`: the user's own programs, started beside the run."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from simpletuner.config.reading.scripts import CHECKPOINT_PLACES, OF_UPLOADS, filled
from simpletuner.core.events import CheckpointSaved, Event, Publishing

_log = logging.getLogger(__name__)
_PREFIX = "SIMPLETUNER_"


class CheckpointScript:
    """Starts ``script`` when a checkpoint is whole, and does not wait for it; that it failed is logged.

    ``facts`` are values for its placeholders. No shell reads the line: what a placeholder stands for is one word, or
    a part of one. The program finds the same values in ``SIMPLETUNER_LOCAL_CHECKPOINT_PATH`` and so on, and what it
    prints is in ``log_file``.
    """

    key = "post_checkpoint_script"

    def __init__(self, script: str, facts: Mapping[str, str], log_file: Path) -> None:
        self._script = script
        self._facts = facts
        self._log_file = log_file
        self._running: dict[int, int] = {}

    def hear(self, event: Event) -> None:
        """Start the script where ``event`` is its occasion. Raises OSError when it cannot be started."""
        self._look()
        facts = self._occasion(event)
        if facts is not None:
            self._start({**self._facts, **facts})

    def close(self) -> None:
        """Tell of what has failed by now; what runs goes on without us."""
        self._look()

    def _occasion(self, event: Event) -> dict[str, str] | None:
        """What only this event knows; None where the script is not started."""
        return _saved(event) if isinstance(event, CheckpointSaved) and not event.is_final else None

    def _start(self, facts: Mapping[str, str]) -> None:
        places = (*CHECKPOINT_PLACES, *OF_UPLOADS)
        environment = {f"{_PREFIX}{name.upper()}": facts[name] for name in places if name in facts}
        words = filled(self._script, facts)
        log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        # Ctrl-C is for the run, not for an upload that it started: hence a session of its own.
        pid = os.posix_spawnp(
            words[0],
            words,
            {**os.environ, **environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self._log_file), log, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        self._running[pid] = int(facts["global_step"])

    def _look(self) -> None:
        for pid, step in tuple(self._running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._running[pid]
                self._tell(step, os.waitstatus_to_exitcode(status))

    def _tell(self, step: int, code: int) -> None:
        if code:
            told = "%s failed for step %d with exit code %d (see %s); training goes on"
            _log.warning(told, self.key, step, code, self._log_file)


class UploadScript(CheckpointScript):
    """The same after each upload, or, where the run ``uploads`` nothing, after each save."""

    key = "post_upload_script"

    def __init__(self, script: str, facts: Mapping[str, str], log_file: Path, *, uploads: bool) -> None:
        super().__init__(script, facts, log_file)
        self._uploads = uploads

    def _occasion(self, event: Event) -> dict[str, str] | None:
        if isinstance(event, Publishing) and event.status == "model_available":
            return {
                "local_checkpoint_path": str(event.folder.absolute()),
                "remote_checkpoint_path": event.where,
                "huggingface_path": event.repository,
                "global_step": str(event.step),
            }
        return _saved(event) if isinstance(event, CheckpointSaved) and not self._uploads else None


def _saved(event: CheckpointSaved) -> dict[str, str]:
    return {"local_checkpoint_path": str(event.path.absolute()), "global_step": str(event.step)}
