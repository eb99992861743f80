"""What a tracker has to know before a run tells it anything, and what it is asked to do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from simpletuner.core.events import Picture

_LONGEST = 160
_LONGEST_NAME = 100
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.+-]+")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Setup:
    """One tracker of one run. ``settings`` are those of the run without its secrets, as JSON values.

    ``identity`` is the same for a run and for what goes on from it; ``folder`` takes the tracker's own files;
    ``layout`` is ``gallery`` or ``table``; ``process`` is the id of the process that trains.
    """

    tracker: str
    project: str
    run_name: str
    identity: str
    folder: str
    layout: str = "gallery"
    process: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> bytes:
        """As one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Setup:
        """The one that :meth:`line` wrote."""
        return cls(**json.loads(line))


class Door(Protocol):
    """What a tracker's library can be asked for. Whatever it raises is told once and stops nothing."""

    def numbers(self, step: int, epoch: int, numbers: Mapping[str, float]) -> None:
        """Chart finite numbers at a step; an epoch of 0 is not known."""

    def curve(self, step: int, name: str, points: Points) -> None:
        """Chart a line of (timestep, loss), as it is at this step."""

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        """Show pictures that lie on this disk."""

    def finish(self, *, completed: bool) -> None:
        """Send what is left."""


def tag(picture: Picture) -> str:
    """What a picture is called in a tracker (SPEC 5.8)."""
    return f"{picture.nickname} - {picture.width}x{picture.height}"


def reason(error: Exception) -> str:
    """What a library says, on one line that is short enough to be read."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."


def plain(name: str) -> str:
    """A project's name in the letters that every tracker takes."""
    return _NOT_PLAIN.sub("-", name)[:_LONGEST_NAME].strip("-") or "simpletuner"
