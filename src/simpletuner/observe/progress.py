"""What a progress display knows, as values, and how it is put into words. No screen here."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from simpletuner.core.events import (
    CheckpointSaved,
    Evaluated,
    ImagesRendered,
    RunEnded,
    RunStarted,
    StageProgress,
    StepDone,
)

_MEMORY = 0.98
_SHOWN = 3
# The points of curves, which a line cannot show.
_CHART = "chart/"
_ENDINGS = {"completed": "completed", "interrupted": "interrupted", "failed": "FAILED"}


@dataclass(frozen=True)
class Smoothed:
    """Mean of past values, each weighing 2 % less than the next, without the usual pull towards a first value."""

    total: float = 0.0
    weight: float = 0.0

    @classmethod
    def over(cls, values: Iterable[float]) -> Smoothed:
        """Of all ``values``, the oldest first."""
        return functools.reduce(cls.add, values, cls())

    def add(self, value: float) -> Smoothed:
        """With ``value`` counted in; one that is not finite is left out, or the mean would never recover."""
        if not math.isfinite(value):
            return self
        return Smoothed(self.total * _MEMORY + value, self.weight * _MEMORY + 1)

    @property
    def mean(self) -> float:
        """The weighted mean; NaN before the first value."""
        return self.total / self.weight if self.weight else math.nan


NOTHING = Smoothed()
"""Before the first value."""


@dataclass(frozen=True)
class Training:
    """Where training is. ``began`` is the clock's reading, in seconds, when the first update of this run started."""

    began: float
    first_step: int
    step: int
    max_steps: int
    epochs: int = 0
    epoch: int = 0
    learning_rate: float = math.nan
    loss: Smoothed = NOTHING
    pace: Smoothed = NOTHING

    @classmethod
    def at_start(cls, event: RunStarted, now: float, loss: Smoothed = NOTHING) -> Training:
        """Nothing of this run is done yet; ``loss`` is that of the updates before it."""
        return cls(now, event.first_step, event.first_step, event.max_steps, event.epochs, event.epoch, loss=loss)

    def after(self, event: StepDone) -> Training:
        """One update later."""
        return replace(
            self,
            step=event.step,
            max_steps=event.max_steps,
            epoch=event.epoch,
            learning_rate=event.learning_rate,
            loss=self.loss.add(event.loss),
            pace=self.pace.add(event.step_seconds),
        )

    @property
    def seconds_left(self) -> float:
        """Updates to go at the present pace; NaN before the first one."""
        return self.pace.mean * max(0, self.max_steps - self.step)

    def facts(self) -> tuple[str, ...]:
        """Epoch, loss, rate and speed, each as one phrase."""
        if math.isnan(self.learning_rate):
            return ("no step is done yet",)
        epoch = f"epoch {self.epoch}/{self.epochs}" if self.epochs else f"epoch {self.epoch}"
        return (
            epoch,
            f"smoothed loss {self.loss.mean:.4f}",
            f"lr {self.learning_rate:.2e}",
            speed(self.pace.mean),
        )


@dataclass(frozen=True)
class Stage:
    """A countable stage under way, and the clock's reading in seconds when it was first heard of."""

    label: str
    done: int
    total: int
    began: float

    @classmethod
    def after(cls, event: StageProgress, before: Stage | None, now: float) -> Stage:
        """The stage as ``event`` tells it, keeping its beginning."""
        return cls(event.label, event.done, event.total, before.began if before else now)

    @property
    def is_over(self) -> bool:
        """Nothing left to count."""
        return self.done >= self.total


def duration(seconds: float) -> str:
    """``0:12:34``; days are counted as hours; ``-:--:--`` where nothing is known."""
    if not math.isfinite(seconds):
        return "-:--:--"
    minutes, second = divmod(round(max(0.0, seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"


def speed(seconds_each: float) -> str:
    """Steps a second, or seconds a step where that is the number above one."""
    if not math.isfinite(seconds_each) or seconds_each <= 0:
        return "- it/s"
    return f"{1 / seconds_each:.2f} it/s" if seconds_each < 1 else f"{seconds_each:.2f} s/it"


def percent(done: int, total: int) -> str:
    """Whole percent, rounded down, so that 100 % means all."""
    return f"{100 * done // total if total else 100}%"


def printable(text: str) -> str:
    """``text`` without control codes: a caption from the internet must not steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def plural(number: int, noun: str) -> str:
    """``1 picture``, ``2 pictures``, ``1,234 pictures``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short(path: Path, folder: str) -> str:
    """``path`` as seen from the output folder, or whole where it lies elsewhere."""
    return str(path.relative_to(folder) if folder and path.is_relative_to(folder) else path)


def saved_line(event: CheckpointSaved, folder: str) -> str:
    """One line for a checkpoint or the final result."""
    if event.is_final:
        return f"step {event.step}: final result saved"
    return f"step {event.step}: checkpoint saved in {short(event.path, folder)}"


def rendered_line(event: ImagesRendered, folder: str) -> str:
    """One line for new pictures: how many, of which prompts, and the folder they are in."""
    names = _listed(dict.fromkeys(picture.nickname for picture in event.pictures))
    where = f" in {short(event.pictures[0].path.parent, folder)}" if event.pictures else ""
    return f"step {event.step}: {plural(len(event.pictures), f'{event.kind} picture')} ({names}){where}"


def evaluated_line(event: Evaluated) -> str:
    """One line for the first numbers of an evaluation; metrics.jsonl has all."""
    told = ((name, value) for name, value in event.metrics.items() if not name.startswith(_CHART))
    return f"step {event.step}: {_listed(f'{name} {value:.4f}' for name, value in told)}"


def _listed(words: Iterable[str]) -> str:
    every = tuple(words)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def summary_lines(event: RunEnded, training: Training | None, where: str) -> tuple[str, ...]:
    """The last words: how it ended, how many steps in which time, where the result is."""
    first = training.first_step if training else event.step
    done = plural(max(0, event.step - first), "step")
    resumed = f" (from step {first} to {event.step})" if first else ""
    head = f"{_ENDINGS.get(event.status, event.status)}: {done}{resumed} in {duration(event.seconds)}"
    label = "result in" if event.status == "completed" else "saved so far in"
    # The message is left to the command, which tells every error once, on stderr.
    return (head, *([f"{label} {where}"] if where else []))
