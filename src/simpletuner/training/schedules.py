"""The learning rate as a pure function of the step, so that a resume has no schedule to restore."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_FLOOR = 1e-9


@dataclass(frozen=True)
class Schedule:
    """``name`` of SPEC's list; ``peak`` and ``end`` are rates; ``warmup`` and ``total`` count updates."""

    name: str
    peak: float
    end: float
    warmup: int
    total: int
    cycles: int = 1
    power: float = 1.0


def rate_at(schedule: Schedule, step: int) -> float:
    """The rate of update number ``step`` (1-based). Every shape but ``constant`` rises linearly over the warm-up."""
    if schedule.name == "constant":
        return schedule.peak
    if step < schedule.warmup:
        return schedule.peak * step / schedule.warmup
    return _AFTER_WARMUP[schedule.name](schedule, _progress(schedule, step))


def _progress(schedule: Schedule, step: int) -> float:
    """How far past the warm-up, 0 to 1."""
    length = max(schedule.total - schedule.warmup, 1)
    return min((step - schedule.warmup) / length, 1.0)


def _between(schedule: Schedule, share: float) -> float:
    return max(schedule.end + (schedule.peak - schedule.end) * share, _FLOOR)


def _constant(schedule: Schedule, progress: float) -> float:
    del progress
    return schedule.peak


def _linear(schedule: Schedule, progress: float) -> float:
    return schedule.peak * (1 - progress)


def _polynomial(schedule: Schedule, progress: float) -> float:
    return schedule.end + (schedule.peak - schedule.end) * float((1 - progress) ** schedule.power)


def _cosine(schedule: Schedule, progress: float) -> float:
    """``cycles`` whole waves that end low, so that the last update runs at ``end``."""
    return _between(schedule, (1 + math.cos(math.pi * (2 * schedule.cycles - 1) * progress)) / 2)


def _restarts(schedule: Schedule, progress: float) -> float:
    """A falling half wave per cycle, then back to the peak."""
    within = 1.0 if progress >= 1 else (progress * schedule.cycles) % 1.0
    return _between(schedule, (1 + math.cos(math.pi * within)) / 2)


def _sine(schedule: Schedule, progress: float) -> float:
    """As :func:`_cosine`, by a sine that starts at its top."""
    return _between(schedule, (1 + math.sin(math.pi / 2 + math.pi * (2 * schedule.cycles - 1) * progress)) / 2)


_AFTER_WARMUP: dict[str, Callable[[Schedule, float], float]] = {
    "constant_with_warmup": _constant,
    "linear": _linear,
    "polynomial": _polynomial,
    "cosine": _cosine,
    "cosine_with_restarts": _restarts,
    "sine": _sine,
}
