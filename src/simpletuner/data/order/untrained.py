"""Data sets that a run never trains on: why not, and the smallest changes after which it does (SPEC 3.14)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simpletuner.core.errors import ConfigError
from simpletuner.data.order.calendar import Calendar
from simpletuner.data.order.race import NEVER, Window

_ANY_CURE = "let it begin earlier or end later, or raise its repeats"


@dataclass(frozen=True)
class Span:
    """The first ``steps`` updates of a calendar, ``before`` updates of an adapter's own run being done before them.

    ``in_epochs`` is a run that is as long as ``num_train_epochs`` says.
    """

    steps: int
    before: int = 0
    in_epochs: bool = False


def untrained(calendar: Calendar, span: Span) -> dict[str, str]:
    """What is to be told of each data set that no update of ``span`` is of, by its id.

    Raises ConfigError when no data set is used at some step of it.
    """
    return {name: _explained(calendar, name, span) for name in calendar.unused(span.steps)}


def _explained(calendar: Calendar, name: str, span: Span) -> str:
    cures = [*_longer(calendar, name, span), *_earlier(calendar, name, span.steps)]
    return "\n  ".join(
        [
            f'data set "{name}" is never trained in this run',
            *_reasons(calendar, calendar.window(name), span),
            f"to train it: {'; or '.join(cures) or _ANY_CURE}",
        ]
    )


def _reasons(calendar: Calendar, window: Window, span: Span) -> list[str]:
    """The arithmetic."""
    epochs, end, told = calendar.epochs_for(span.steps), span.steps + span.before, []
    if window.steps[0] >= span.steps:
        begins = window.steps[0] + 1 + span.before
        told.append(f"start_step {window.start_step}: it begins at step {begins}, the run ends at step {end}")
    if window.epochs[0] >= epochs:
        ending = f"the run ends at step {end}, in epoch {epochs} (the first has {calendar.length(0)} steps)"
        told.append(f"start_epoch {window.start_epoch}: {ending}")
    return told or [f"it is used for {window}; none of the run's {span.steps} steps falls to it"]


def _longer(calendar: Calendar, name: str, span: Span) -> Iterator[str]:
    """How long the run must be, where that alone is enough."""
    # To count each of many epochs takes too long only to say how far away it is.
    ahead = 2 * span.steps + 1000 if calendar.counts_each_epoch else NEVER
    try:
        found = calendar.first_updates((name,), ahead).get(name)
    except ConfigError:
        # Before it begins, the other data sets have ended.
        return
    if found is not None and span.in_epochs:
        yield f"set num_train_epochs to {calendar.epochs_for(found)} or more"
    elif found is not None:
        yield f"set max_train_steps to {found + span.before} or more"


def _earlier(calendar: Calendar, name: str, steps: int) -> Iterator[str]:
    """The first start that does among those 1, 2, 4 ... before the end: an update late in the run may be another's."""
    window, epochs = calendar.window(name), calendar.epochs_for(steps)
    others, back = frozenset(calendar.unused(steps)) - {name}, 1
    while back < 2 * steps:
        epoch = min(window.epochs[0] + 1, max(epochs + 1 - back, 1))
        step = min(window.steps[0], max(steps - back, 0))
        if _trains(calendar.beginning(name, epoch, step), name, steps, others):
            yield _starting(window, epoch, step)
            return
        back *= 2


def _trains(calendar: Calendar, name: str, steps: int, others: frozenset[str]) -> bool:
    """Whether the data set has an update, and nobody lacks one for it but ``others``, which lacked one before."""
    try:
        return name in calendar.first_updates((name,), steps) and others.issuperset(calendar.unused(steps))
    except ConfigError:
        return False


def _starting(window: Window, epoch: int, step: int) -> str:
    changed = {"start_step": (window.steps[0], step), "start_epoch": (window.epochs[0] + 1, epoch)}
    return "set " + " and ".join(f"{key} to {new}" for key, (old, new) in changed.items() if new != old)
