"""What the page says in words and numbers: how it went, what was read, what was set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simpletuner.core.events import RunEnded
from simpletuner.observe.progress import duration, speed
from simpletuner.observe.report.charts import Record, evaluated, series, smoothed

_RECENT = 50


@dataclass(frozen=True)
class Story:
    """A run as it stands. ``lines`` are what was said at its start; ``end`` is None while it goes on.

    ``given`` are the settings that the user chose, ``settings`` all of them.
    """

    project: str
    name: str
    max_steps: int = 0
    lines: Sequence[str] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    end: RunEnded | None = None


def headline(story: Story, records: Sequence[Record]) -> str:
    """How it stands, in one line."""
    step = records[-1]["step"] if records else 0
    if story.end is None:
        return f"running, step {step:,} of {story.max_steps:,}"
    message = f": {story.end.message}" if story.end.message else ""
    return f"{story.end.status} at step {story.end.step:,} after {duration(story.end.seconds)}{message}"


def figures(story: Story, records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """The numbers at the top of the page, with their names."""
    last = records[-1] if records else {}
    yield "Steps", f"{last.get('step', 0):,} / {story.max_steps:,}"
    yield "Epoch", str(last.get("epoch", "–"))
    losses = smoothed(series(records, "train_loss"))
    if losses:
        yield "Smoothed loss", f"{losses[-1][1]:.4f}"
    explained = smoothed(series(records, "loss/explained"))
    if explained:
        yield "Variance explained", f"{100 * explained[-1][1]:.1f} %"
    for name in evaluated(records):
        yield from _evaluated(records, name)
    scores = series(records, "clip/mean")
    if scores:
        yield "CLIP score", f"{scores[-1][1]:.4f}"
    paces = [seconds for _, seconds in series(records, "step_seconds")][-_RECENT:]
    if paces:
        yield "Speed", speed(math.fsum(paces) / len(paces))


def _evaluated(records: Sequence[Record], name: str) -> Iterator[tuple[str, str]]:
    key = f"loss/val/{name}"
    losses = series(records, key)
    if losses:
        step, best = min(losses, key=lambda point: point[1])
        yield f"Best loss on {name}", f"{best:.4f} at step {step:,.0f}"
    gains, errors = series(records, f"{key}/gain"), series(records, f"{key}/gain/se")
    if gains:
        error = f" ± {errors[-1][1]:.4f}" if errors else ""
        yield "Better than the base by", f"{gains[-1][1]:.4f}{error}"


def data_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each data set of report.json, below a row of headings; empty without one."""
    found = report.get("datasets")
    rows = [tuple(map(str, _dataset(one))) for one in found if isinstance(one, Mapping)] if found else []
    return [("Data set", "Kind", "Files", "Used", "Updates an epoch", "Sizes"), *rows] if rows else []


def _dataset(one: Mapping[str, Any]) -> tuple[object, ...]:
    targets, buckets = one.get("targets") or {}, one.get("buckets") or {}
    sizes = ", ".join(f"{targets.get(key, key)}: {count}" for key, count in buckets.items())
    return one.get("id", ""), one.get("type", ""), one.get("files", 0), one.get("used", 0), one.get("batches", 0), sizes


def data_remarks(report: Mapping[str, Any]) -> list[str]:
    """What report.json says is wrong or left out."""
    remarks = [str(text) for text in report.get("problems") or ()]
    for one in report.get("datasets") or ():
        if one.get("dropped"):
            first = one["dropped"][0]
            remarks.append(
                f"{one['id']}: {len(one['dropped'])} left out, the first: {first['file']} ({first['reason']})"
            )
        remarks += [f"{one['id']}: {note}" for note in one.get("notes") or ()]
    return remarks
