"""A tracker as a listener: what it hears, put as charts and pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from simpletuner.core.events import Evaluated, Event, ImagesRendered, RunEnded, StepDone
from simpletuner.observe.trackers.setup import Door

_POINT = re.compile(r"(chart/.+)/(\d\.\d+)")
_TIMESTEPS = 1000


class Tracker:
    """Opens its door at the first event, and once: what cannot be opened stays shut."""

    def __init__(self, open_door: Callable[[], Door]) -> None:
        self._open = open_door
        self._door: Door | None = None
        self._tried = False
        self._completed = False

    def hear(self, event: Event) -> None:
        """Pass on numbers, curves and pictures. Raises whatever the library does."""
        if not self._tried:
            self._tried = True
            self._door = self._open()
        if self._door is not None:
            self._tell(self._door, event)

    def close(self) -> None:
        """Let the tracker send what is left."""
        if self._door is not None:
            self._door.finish(completed=self._completed)

    def _tell(self, door: Door, event: Event) -> None:
        match event:
            case StepDone():
                told = {"train_loss": event.loss, "learning_rate": event.learning_rate, "epoch": event.epoch}
                numbers = told | {"step_seconds": event.step_seconds} | dict(event.metrics)
                door.numbers(event.step, event.epoch, finite(numbers))
            case Evaluated():
                numbers, curves = curves_apart(event.metrics)
                door.numbers(event.step, event.epoch, finite(numbers))
                for name, points in curves.items():
                    door.curve(event.step, name, points)
            case ImagesRendered() if event.pictures:
                door.pictures(event.step, event.pictures)
            case RunEnded():
                self._completed = event.status == "completed"


def finite(numbers: Mapping[str, float]) -> dict[str, float]:
    """Those that can be charted everywhere."""
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def curves_apart(metrics: Mapping[str, float]) -> tuple[dict[str, float], dict[str, list[tuple[float, float]]]]:
    """The numbers of an evaluation, and its curves by name: (timestep from 0 to 1000, loss), in order of time.

    A curve comes as one number a sigma, ``chart/<name>/<sigma>``; timesteps are counted as in SPEC 5.7.
    """
    numbers: dict[str, float] = {}
    curves: dict[str, list[tuple[float, float]]] = {}
    for key, value in metrics.items():
        found = _POINT.fullmatch(key)
        if found is None:
            numbers[key] = value
        elif math.isfinite(value):
            curves.setdefault(found[1], []).append((round(float(found[2]) * _TIMESTEPS, 3), value))
    return numbers, {name: sorted(points) for name, points in curves.items()}
