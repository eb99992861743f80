"""An upload as a value, what it ended in, and both as JSON for the process that makes it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Outcome = Literal["done", "refused", "unreachable", "offline", "no_login", "given_up"]
TRIES = 3
_FIRST_WAIT = 1.0
# An upload that is slower than this has stalled: 10 minutes, and a second for every 50 kB.
_PATIENCE = 600.0
_SLOWEST = 50_000


@dataclass(frozen=True)
class Job:
    """What is asked of the process that uploads.

    ``kind``: ``login`` looks who is logged in, ``hub`` puts ``folder`` into the repository ``target``, ``store`` puts
    ``files`` of ``folder`` below ``target`` in a store, ``fetch`` takes the checkpoint ``target`` from there into
    ``folder``. ``facts`` are what the kind needs beside, among them secrets,
    so that a job is never shown. ``seconds`` is how long it may take.
    """

    kind: Literal["login", "hub", "store", "fetch"]
    target: str
    folder: str = ""
    files: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict, repr=False)
    seconds: float = 30.0

    def as_line(self) -> str:
        """The job as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(frozen=True)
class Answer:
    """What a job ended in: ``reason`` why it was not done; ``where`` it can be seen, or for a login whose it is."""

    outcome: Outcome
    reason: str = ""
    where: str = ""

    def as_line(self) -> str:
        """The answer as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"


def read_job(line: str) -> Job:
    """The job of a line that :meth:`Job.as_line` made."""
    content = json.loads(line)
    return Job(**{**content, "files": tuple(content["files"])})


def read_answer(line: str) -> Answer:
    """The answer of a line that :meth:`Answer.as_line` made. Raises ValueError for any other line."""
    try:
        return Answer(**json.loads(line))
    except TypeError as error:
        raise ValueError(f"no answer: {error}") from error


def time_for(size: int) -> float:
    """Seconds that all tries of an upload of ``size`` bytes may take together."""
    return TRIES * (_PATIENCE + size / _SLOWEST)


def pause_after(tries: int) -> float:
    """Seconds between a failed try and the next; ``tries`` were made."""
    return float(_FIRST_WAIT * 3 ** (tries - 1))


def hub_command(repository: str, folder: Path, *, private: bool) -> str:
    """What a person types to make the upload of ``folder`` once more."""
    words = ["hf", "upload", repository, str(folder), ".", *(["--private"] if private else [])]
    return shlex.join(words)
