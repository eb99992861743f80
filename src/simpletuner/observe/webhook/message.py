"""One message to a receiver, as a value; and what has been heard so far, which some messages tell of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from simpletuner.config.files.webhooks import LEVELS
from simpletuner.core.events import Event, RunStarted, StageChanged, StageProgress, StepDone
from simpletuner.observe.progress import Stage, Training


@dataclass(frozen=True)
class Pixels:
    """A picture in memory: ``height`` rows of ``width`` pixels of three bytes."""

    width: int
    height: int
    rgb: bytes = field(repr=False)


Drawing = Path | Pixels


@dataclass(frozen=True)
class Message:
    """What is sent, without its pictures, which are read when their turn comes.

    ``fields`` are those of SPEC 7.3, or ``content`` for Discord. A message takes the place of a waiting one with the
    same ``replaces``, unless that is empty. ``level`` is one of ``LEVELS``.
    """

    fields: Mapping[str, Any]
    level: str = "info"
    drawings: tuple[Drawing, ...] = ()
    replaces: str = ""
    is_preview: bool = False

    @property
    def weight(self) -> int:
        """Bytes of memory that its pictures hold while it waits."""
        return sum(len(drawing.rgb) for drawing in self.drawings if isinstance(drawing, Pixels))

    def is_wanted(self, log_level: str) -> bool:
        """Whether a receiver that asks for ``log_level`` hears of it."""
        return LEVELS.index(self.level) <= LEVELS.index(log_level)


@dataclass(frozen=True)
class Story:
    """What was heard of the run: where training is, the stages under way, and which of them tell their own end."""

    training: Training | None = None
    stages: Mapping[str, Stage] = field(default_factory=dict)
    begun: frozenset[str] = frozenset()

    def after(self, event: Event, now: float) -> Story:
        """The story with ``event`` in it; ``now`` is a clock's reading in seconds."""
        match event:
            case RunStarted():
                return replace(self, training=Training.at_start(event, now))
            case StepDone() if self.training:
                return replace(self, training=self.training.after(event))
            case StageChanged(status="running"):
                return replace(self, begun=self.begun | {event.stage})
            case StageChanged():
                return replace(self, begun=self.begun - {event.stage})
            case StageProgress():
                stage = Stage.after(event, self.stages.get(event.stage), now)
                others = {key: value for key, value in self.stages.items() if key != event.stage}
                # One that is over is forgotten with the next event, so that its last message still knows its time.
                others = {key: value for key, value in others.items() if not value.is_over}
                return replace(self, stages=others | {event.stage: stage})
        return self


@dataclass(frozen=True)
class Around:
    """What a message needs beside its event. ``now`` is the clock's reading, ``at`` the time of day in UTC."""

    story: Story
    at: datetime
    now: float
    job_id: str | None = None
