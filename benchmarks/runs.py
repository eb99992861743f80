"""Whole runs of the trainer to compare: the bundled example through its own command, a process each, done once."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.timing import Figures
from simpletuner.core.files import write_json

EXAMPLE = "emoji-style"
ADAPTER = "pytorch_lora_weights.safetensors"
_STATE = "run.json"
_log = logging.getLogger("benchmarks")


@dataclass(frozen=True)
class Run:
    """One run of the example: its folder below the others, and the options that differ from the example's.

    ``command`` is what python is given before the words of a user, ``environ`` its environment, this one's if None.
    """

    folder: Path
    options: Mapping[str, object]
    command: Sequence[str] = ("-m", "simpletuner")
    environ: Mapping[str, str] | None = None

    def finish(self) -> Run:
        """Train, unless it was done with these options; one that was interrupted goes on."""
        if self._state().get("asked") != self._words():
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.is_done:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        self._note(finished=False)
        _log.info("training %s ...", self.folder.name)
        command = [sys.executable, *self.command, "train", "--example", EXAMPLE, *self._words()]
        with (self.folder / "output.txt").open("ab") as output:
            subprocess.run(command, check=True, stdout=output, stderr=subprocess.STDOUT, env=self.environ)
        self._note(finished=True)
        return self

    @property
    def is_done(self) -> bool:
        """Whether it came to its end: the adapter is there before the last pictures are drawn."""
        return bool(self._state().get("finished"))

    def records(self) -> list[Figures]:
        """What the run told of its steps, in their order."""
        told = [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        return [record for record in told if "train_loss" in record]

    def _words(self) -> list[str]:
        return [f"{key}={value}" for key, value in {**self.options, "output_dir": self.folder}.items()]

    def _note(self, *, finished: bool) -> None:
        write_json(self.folder / _STATE, {"asked": self._words(), "finished": finished})

    def _state(self) -> Figures:
        file = self.folder / _STATE
        state: Figures = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return state
