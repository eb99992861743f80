"""What the loop tells and listeners hear. Listeners touch no tensor and may fail without stopping the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class RunStarted:
    """The run is about to train: ``lines`` are what a person wants to read first (adapter, data, length)."""

    name: str
    output_dir: Path
    first_step: int
    max_steps: int
    epochs: int
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Notice:
    """One line for the user: something told, not an error. ``level`` is ``info`` or ``warning``."""

    text: str
    level: str = "info"


@dataclass(frozen=True)
class StageProgress:
    """A countable stage (caching, sampling) moved on; ``done == total`` ends it."""

    stage: str
    label: str
    done: int
    total: int


@dataclass(frozen=True)
class StepDone:
    """One weight update. ``metrics`` goes to trackers and metrics.jsonl as it stands."""

    step: int
    epoch: int
    max_steps: int
    loss: float
    learning_rate: float
    step_seconds: float
    samples: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    resumed_from: str | None = None


@dataclass(frozen=True)
class CheckpointSaved:
    """A checkpoint is whole on disk."""

    step: int
    path: Path
    is_final: bool = False


@dataclass(frozen=True)
class Picture:
    """A validation picture on disk, as it is shown (stitched when there is a benchmark)."""

    path: Path
    nickname: str
    prompt: str
    width: int
    height: int


@dataclass(frozen=True)
class ImagesRendered:
    """A validation run or the benchmark wrote its pictures."""

    step: int
    kind: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Evaluated:
    """An evaluation ended; ``metrics`` as in :class:`StepDone`."""

    step: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class RunEnded:
    """The run is over. ``status``: ``completed``, ``interrupted`` or ``failed``."""

    step: int
    status: str
    seconds: float
    message: str = ""


Event = RunStarted | Notice | StageProgress | StepDone | CheckpointSaved | ImagesRendered | Evaluated | RunEnded
Emit = Callable[[Event], None]
