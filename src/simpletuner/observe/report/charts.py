"""Which charts a run's records make: pure, from the numbers of metrics.jsonl."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simpletuner.observe.progress import Smoothed

Record = Mapping[str, Any]
Points = tuple[tuple[float, float], ...]

_ENOUGH = 20
_MOST_OTHERS = 12
_MOST_CURVES = 3
_ERRORS = 2.0
_BAND_NOTE = (
    "The band is two standard errors to each side: of 20 pictures or more it holds the true mean in 95 of 100 cases."
)
_BINS = 5
_EVALUATED = re.compile(r"loss/val/(.+?)(?:/(?:se|gain|gain/se|base|ema|ema/se|explained|linear_reference))?")
_CURVE = re.compile(r"(chart/.+)/(\d\.\d+)")
_HIDDEN = re.compile(
    r"step|step_seconds|epoch|resumed_from|train_loss|loss/.*|chart/.*|clip/.*|learning_rate|grad_norm|grad_absmax"
)
_LOSS_NOTE = "The linear reference is the best that a linear denoiser can do on these latents at the same noise."


@dataclass(frozen=True)
class Line:
    """One line; ``band`` is (x, low, high) around it. ``kind`` is ``plain``, ``faint`` or ``dashed``."""

    name: str
    points: Points
    band: tuple[tuple[float, float, float], ...] = ()
    kind: str = "plain"


@dataclass(frozen=True)
class Chart:
    """Lines on one pair of axes."""

    title: str
    lines: tuple[Line, ...]
    note: str = ""
    x_name: str = "step"
    is_wide: bool = False


def charts(records: Sequence[Record]) -> list[Chart]:
    """Every chart that has something to show, the telling ones first."""
    names = evaluated(records)
    made = [
        _training_loss(records),
        *(_evaluation(records, name) for name in names),
        *(_gain(records, name) for name in names),
        _explained(records, names),
        _bins(records),
        *(_curves(records, name) for name in names),
        _clip(records),
        _noisy("Learning rate", records, "learning_rate"),
        _noisy("Norm of the gradient", records, "grad_norm"),
        _noisy("Largest gradient", records, "grad_absmax"),
        _noisy("Seconds a step", records, "step_seconds"),
        *_others(records),
    ]
    return [chart for chart in made if chart.lines]


def evaluated(records: Iterable[Record]) -> list[str]:
    """The names under which evaluation losses are told."""
    found = (_EVALUATED.fullmatch(key) for record in records for key in record if key.startswith("loss/val/"))
    return list(dict.fromkeys(match[1] for match in found if match))


def series(records: Iterable[Record], key: str) -> Points:
    """(step, value) wherever a record has a number under ``key``."""
    return tuple((record["step"], float(record[key])) for record in records if isinstance(record.get(key), int | float))


def smoothed(points: Points) -> Points:
    """The points as the progress display smooths them."""
    mean, made = Smoothed(), []
    for step, value in points:
        mean = mean.add(value)
        made.append((step, mean.mean))
    return tuple(made)


def _lines(records: Sequence[Record], key: str, name: str) -> Iterator[Line]:
    """A noisy number: as it is, faintly, and smoothed; a few points as they are."""
    points = series(records, key)
    if len(points) > _ENOUGH:
        yield Line(name, points, kind="faint")
        yield Line(f"{name}, smoothed", smoothed(points))
    elif points:
        yield Line(name, points)


def _one(
    records: Sequence[Record], key: str, name: str, *, kind: str = "plain", banded: bool = False
) -> Iterator[Line]:
    points = series(records, key)
    if points:
        yield Line(name, points, _band(records, key) if banded else (), kind)


def _band(records: Sequence[Record], key: str) -> tuple[tuple[float, float, float], ...]:
    """Where the mean lies with its error, of records that tell one."""
    errors = dict(series(records, f"{key}/se"))
    return tuple(
        (step, value - _ERRORS * errors[step], value + _ERRORS * errors[step])
        for step, value in series(records, key)
        if step in errors
    )


def _training_loss(records: Sequence[Record]) -> Chart:
    reference = smoothed(series(records, "loss/linear_reference"))
    dashed = (Line("linear reference", reference, kind="dashed"),) if reference else ()
    lines = (*_lines(records, "train_loss", "training loss"), *dashed)
    return Chart("Training loss", lines, _LOSS_NOTE if dashed else "", is_wide=True)


def _evaluation(records: Sequence[Record], name: str) -> Chart:
    key = f"loss/val/{name}"
    lines = (
        *_one(records, key, "held out", banded=True),
        *_one(records, f"{key}/ema", "held out, EMA"),
        *_one(records, "loss/seen", "trained on"),
        *_one(records, f"{key}/base", "base model", kind="dashed"),
        *_one(records, f"{key}/linear_reference", "linear reference", kind="dashed"),
    )
    return Chart(f"Evaluation loss: {name}", lines, _BAND_NOTE)


def _gain(records: Sequence[Record], name: str) -> Chart:
    lines = tuple(_one(records, f"loss/val/{name}/gain", "below the base model's loss by", banded=True))
    return Chart(f"Better than the base model: {name}", lines, "Above 0 is better, on the same pictures and noise.")


def _explained(records: Sequence[Record], names: Sequence[str]) -> Chart:
    lines = [*_lines(records, "loss/explained", "training")]
    for name in names:
        lines += _one(records, f"loss/val/{name}/explained", name)
    return Chart("Variance explained", tuple(lines), "1 would be perfect, 0 is what a constant guess gets.")


def _bins(records: Sequence[Record]) -> Chart:
    made = []
    for number in range(_BINS):
        points = smoothed(series(records, f"loss/bin/{number}"))
        if points:
            made.append(Line(f"sigma {number / _BINS:g} to {(number + 1) / _BINS:g}", points))
    return Chart("Loss by noise level, smoothed", tuple(made), "Sigma 0 is the picture, 1 is noise.")


def _curves(records: Sequence[Record], name: str) -> Chart:
    """The loss at each timestep: of the base model, and of the first, the middle and the last evaluation."""
    base, found = f"chart/loss/val/{name}/base", []
    for record in records:
        for key in (base, f"chart/loss/val/{name}"):
            points = _curve(record, key)
            if points:
                found.append((key == base, record["step"], points))
    bases = [Line("base model", points, kind="dashed") for is_base, _, points in found if is_base]
    lines = [Line(f"step {step}", points) for is_base, step, points in found if not is_base]
    shown = lines if len(lines) <= _MOST_CURVES else [lines[0], lines[len(lines) // 2], lines[-1]]
    note = "Timestep 0 is the picture, 1000 is noise."
    return Chart(f"Evaluation loss by timestep: {name}", (*bases[-1:], *shown), note, "timestep")


def _curve(record: Record, name: str) -> Points:
    points = []
    for key, value in record.items():
        match = _CURVE.fullmatch(key)
        if match and match[1] == name and isinstance(value, int | float):
            points.append((1000 * float(match[2]), float(value)))
    return tuple(sorted(points))


def _clip(records: Sequence[Record]) -> Chart:
    means, lows, highs = (dict(series(records, f"clip/{word}")) for word in ("mean", "min", "max"))
    band = tuple((step, lows[step], highs[step]) for step in means if step in lows and step in highs)
    lines = (Line("mean, worst and best prompt", tuple(means.items()), band),) if means else ()
    return Chart("CLIP score of the validation pictures", lines, "Compare it within one run, not between runs.")


def _noisy(title: str, records: Sequence[Record], key: str) -> Chart:
    lines = _one(records, key, title.lower()) if key == "learning_rate" else _lines(records, key, title.lower())
    return Chart(title, tuple(lines))


def _others(records: Sequence[Record]) -> list[Chart]:
    keys = dict.fromkeys(key for record in records for key in record if not _HIDDEN.fullmatch(key))
    made = [Chart(key, tuple(_lines(records, key, key))) for key in keys]
    return [chart for chart in made if chart.lines][:_MOST_OTHERS]
