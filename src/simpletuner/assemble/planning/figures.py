"""What `simpletuner plan` finds out, as values. No torch here. Times are seconds, sizes bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Peak:
    """The most memory that was in use: tensors on a device, or the whole process on the host.

    ``reserved`` is what torch held of the device for it; None on the host.
    """

    used: int
    reserved: int | None = None


@dataclass(frozen=True)
class Shape:
    """One kind of update: ``pictures`` of one bucket, ``micro_batch`` of them at once on one device.

    ``size`` is WxH in pixels, or says that sizes are mixed. ``updates`` and ``uses`` are those of the whole run,
    ``per_epoch`` the updates of the first epoch. ``longest_tokens`` is the longest prompt of the bucket, template
    included; ``references`` are the input pictures of each prompt.
    """

    dataset: str
    bucket: str
    size: str
    micro_batch: int
    pictures: int
    per_epoch: int
    updates: int
    uses: int
    longest_tokens: int
    references: int

    @property
    def name(self) -> str:
        """For messages."""
        return f'data set "{self.dataset}", bucket {self.bucket} ({self.size})'


@dataclass(frozen=True)
class StepFigures:
    """What an update of ``shape`` took. ``seconds`` is the median of ``timed`` updates, ``first`` the first one alone.

    ``at_once`` is how many pictures fit into memory at once, fewer than its micro-batch where memory ran out; 0 where
    not even one did. ``said`` is what memory answered then.
    """

    shape: Shape
    peak: Peak
    at_once: int
    seconds: float | None = None
    first: float | None = None
    timed: int = 0
    said: str = ""

    @property
    def fits(self) -> bool:
        """Whether the run can train this shape at all."""
        return self.at_once > 0

    @property
    def is_cut(self) -> bool:
        """Whether it trains with smaller micro-batches than asked for."""
        return 0 < self.at_once < self.shape.micro_batch

    @property
    def in_run(self) -> float:
        """Seconds of all its updates, of which a short one counts by its pictures; the first one once more."""
        if self.seconds is None or not self.shape.updates:
            return 0.0
        extra = max(0.0, (self.first or 0.0) - self.seconds)
        return self.seconds * self.shape.uses / self.shape.pictures + extra


@dataclass(frozen=True)
class SizeFigures:
    """``count`` pictures of one ``size`` (WxH), ``each`` taking so long; ``peak`` None where memory ran out."""

    size: str
    count: int
    each: float
    peak: Peak | None

    @property
    def seconds(self) -> float:
        """All of them."""
        return self.count * self.each


@dataclass(frozen=True)
class CacheFigures:
    """Latents that are missing, by size, and the bytes of everything that is missing; ``folders`` take them."""

    sizes: tuple[SizeFigures, ...] = ()
    latents: int = 0
    bytes: int = 0
    by_folder: Mapping[Path, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """All pictures, one after the other, without reading them."""
        return sum((size.seconds for size in self.sizes), 0.0)


@dataclass(frozen=True)
class SeeingFigures:
    """Pictures, or evaluated pictures, of the whole run by size; ``times`` counts validations or evaluations."""

    times: int = 0
    sizes: tuple[SizeFigures, ...] = ()

    @property
    def seconds(self) -> float:
        """All of them."""
        return sum((size.seconds for size in self.sizes), 0.0)


@dataclass(frozen=True)
class SavingFigures:
    """``count`` checkpoints, of which ``kept`` lie side by side at most; ``each`` and ``final`` in bytes.

    ``seconds_each`` None was not measured, for want of room in the temporary folder.
    """

    count: int
    kept: int
    each: int
    final: int
    seconds_each: float | None
    folder: Path
    free: int | None

    @property
    def seconds(self) -> float:
        """All of them and the final file."""
        return (self.count + 1) * (self.seconds_each or 0.0)

    @property
    def bytes(self) -> int:
        """What lies on the disk at most."""
        return self.kept * self.each + self.final


@dataclass(frozen=True)
class Machine:
    """Where it was measured. ``memory`` is the device's, or the host's, in bytes; None where it is not known."""

    device: str
    kind: str
    memory: int | None
    processes: int


@dataclass(frozen=True)
class RunPlan:
    """What a run will cost. ``starting`` is the time until the first update, caching apart.

    ``problems`` are about the data sets that no update is of.
    """

    name: str
    machine: Machine
    steps: int
    epochs: int
    updates_per_epoch: int
    shapes: tuple[StepFigures, ...]
    problems: tuple[str, ...] = ()
    starting: float = 0.0
    caching: CacheFigures = CacheFigures()
    validation: SeeingFigures = SeeingFigures()
    evaluation: SeeingFigures = SeeingFigures()
    saving: SavingFigures | None = None

    @property
    def training(self) -> float:
        """Seconds of all updates."""
        return sum((found.in_run for found in self.shapes), 0.0)

    @property
    def seconds(self) -> dict[str, float]:
        """By what takes them."""
        return {
            "starting": self.starting,
            "caching": self.caching.seconds,
            "training": self.training,
            "validation": self.validation.seconds,
            "evaluation": self.evaluation.seconds,
            "checkpoints": self.saving.seconds if self.saving else 0.0,
        }

    @property
    def total(self) -> float:
        """From the command to the final file."""
        return sum(self.seconds.values())

    @property
    def fits(self) -> bool:
        """Whether every shape can be trained."""
        return all(found.fits for found in self.shapes)

    @property
    def is_tight(self) -> bool:
        """Whether some shape cannot be trained, or only with smaller micro-batches than asked for."""
        return any(not found.fits or found.is_cut for found in self.shapes)

    @property
    def nothing_fits(self) -> bool:
        """Whether no shape can."""
        return not any(found.fits for found in self.shapes)


@dataclass(frozen=True)
class Alternative:
    """Other options, as the words that a user types, and what an update of the largest shape then takes.

    ``said`` is why there are no figures.
    """

    words: tuple[str, ...]
    fits: bool
    peak: int | None = None
    seconds: float | None = None
    at_once: int | None = None
    said: str = ""
