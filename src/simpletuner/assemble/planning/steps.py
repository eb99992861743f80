"""Real updates of one shape, timed, with the most memory that they have in use."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch

from simpletuner.assemble.planning.figures import Peak, Shape, StepFigures
from simpletuner.assemble.planning.peak import read_peak, reset_peak, settle
from simpletuner.assemble.planning.shapes import Found
from simpletuner.core.errors import OutOfMemory
from simpletuner.core.memory import first_line, give_back, is_exhausted
from simpletuner.core.samples import Update
from simpletuner.training.update import Engine, apply_update

_MOST_TIMED = 5
_ENOUGH_SECONDS = 2.0


def measure_shape(engine: Engine, found: Found, steps: int) -> StepFigures:
    """What an update of one shape takes in a run of ``steps`` updates; the weights are not those of a run afterwards.

    The first one has the longest captions of the bucket; what is made once for a shape is made then. Memory that runs
    out is a figure, not an error.
    """
    device = engine.parallel.device
    give_back()
    reset_peak(device)
    said = ""
    times: list[float] = []
    try:
        first = seconds_of(device, partial(_update, engine, found.longest, 1))
        while _goes_on(times):
            # Where a share of the rows takes longer as training goes on, the middle and the end are such updates.
            at = max(1, (steps // 2, steps)[len(times) % 2])
            times.append(seconds_of(device, partial(_update, engine, found.update, at)))
    except OutOfMemory as error:
        said = error.reason
    if said:
        peak = read_peak(device)
        engine.optimizer.zero_grad(set_to_none=True)
        give_back()
        return StepFigures(found.shape, peak, at_once=0, said=said)
    return _figures(engine, found.shape, read_peak(device), first, times)


def _figures(engine: Engine, shape: Shape, peak: Peak, first: float, times: list[float]) -> StepFigures:
    fits = engine.room.fits.get((shape.dataset, shape.bucket), shape.micro_batch)
    said = f"{fits} of {shape.micro_batch} pictures at once" if fits < shape.micro_batch else ""
    return StepFigures(shape, peak, fits, median(times), first, len(times), said)


def _goes_on(times: list[float]) -> bool:
    return not times or (len(times) < _MOST_TIMED and sum(times) < _ENOUGH_SECONDS)


def _update(engine: Engine, update: Update, step: int) -> None:
    """Raises OutOfMemory, also for memory that runs out in the optimizer or the average."""
    try:
        apply_update(engine, update, step)
    except (MemoryError, RuntimeError) as error:
        if not is_exhausted(error):
            raise
        raise OutOfMemory(first_line(error)) from None


def seconds_of(device: torch.device, act: Callable[[], object]) -> float:
    """How long ``act`` takes, until the device has done its part."""
    settle(device)
    began = time.perf_counter()
    act()
    settle(device)
    return time.perf_counter() - began
