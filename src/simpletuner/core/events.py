"""What the loop tells and listeners hear. Listeners touch no tensor and may fail without stopping the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class RunStarted:
    """The run is about to train: ``lines`` are what a person wants to read first (adapter, data, length).

    ``epoch`` counts the epochs begun before, where it goes on.
    """

    name: str
    output_dir: Path
    first_step: int
    max_steps: int
    epochs: int
    lines: tuple[str, ...] = ()
    epoch: int = 0


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
class StageChanged:
    """A stage that cannot be counted (loading, saving) began or ended.

    ``status``: ``running``, ``completed``, ``failed``, ``skipped`` or ``cancelled``; ``stage`` is a key of SPEC 7.5.
    """

    stage: str
    label: str
    status: str


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
    """A validation picture on disk, as it is shown (stitched when there is a benchmark).

    ``score`` is what it was judged with, the cosine of picture and prompt to a CLIP; None when it was not.
    """

    path: Path
    nickname: str
    prompt: str
    width: int
    height: int
    score: float | None = None


@dataclass(frozen=True)
class ImagesRendered:
    """A validation run or the benchmark wrote its pictures."""

    step: int
    kind: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class PreviewDrawn:
    """A picture as it looks in the middle of sampling.

    ``sampling_step`` of ``sampling_steps`` counts from 1; ``kind`` is ``intermediary``, ``base_model`` or ``final``;
    ``rgb`` holds ``height`` rows of ``width`` pixels of three bytes; ``panel`` says which weights draw.
    """

    step: int
    nickname: str
    prompt: str
    sampling_step: int
    sampling_steps: int
    timestep: float | None
    width: int
    height: int
    rgb: bytes = field(repr=False)
    kind: str = "intermediary"
    panel: str = ""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation ended; ``metrics`` as in :class:`StepDone`."""

    step: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Publishing:
    """An upload goes on: ``uploading_model``, ``uploading_validation_samples`` or ``model_available``.

    ``folder`` on this machine goes to ``where``, an address that others can open once it is available;
    ``repository`` is the hub's name for it, empty for another store.
    """

    step: int
    status: str
    folder: Path
    where: str
    repository: str = ""


@dataclass(frozen=True)
class RunEnded:
    """The run is over. ``status``: ``completed``, ``interrupted`` or ``failed``; ``trace`` says where it failed."""

    step: int
    status: str
    seconds: float
    message: str = ""
    trace: str = ""


Event = (
    RunStarted
    | Notice
    | StageProgress
    | StageChanged
    | StepDone
    | CheckpointSaved
    | ImagesRendered
    | PreviewDrawn
    | Evaluated
    | Publishing
    | RunEnded
)
Emit = Callable[[Event], None]
