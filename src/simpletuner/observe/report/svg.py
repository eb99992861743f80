"""Charts as HTML that needs no script: the lines are stretched to their place, the words keep their size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from simpletuner.observe.report.charts import Chart, Line, Points

_SIDE = 1000
_COLOURS = 8
_MANY = 50
_FEW = 24
_TICKS = 5


@dataclass(frozen=True)
class Span:
    """The range of an axis."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        return (min(self.high, max(self.low, value)) - self.low) / (self.high - self.low)

    def ticks(self, least: float = 0.0) -> list[float]:
        """Round numbers within it, at least so far from each other."""
        step = max(least, _round_up((self.high - self.low) / (_TICKS + 1)))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def chart_html(chart: Chart) -> str:
    """One chart with its title, note, axes and key."""
    x, y = _spans(chart.lines)
    coloured = list(zip(_colours(chart.lines), chart.lines, strict=True))
    drawn = "".join(_drawn(line, colour, x, y) for colour, line in coloured)
    rows = [(value, 1 - y.share(value)) for value in y.ticks()]
    # There is no step, nor timestep, between two.
    columns = [(value, x.share(value)) for value in x.ticks(least=1)]
    grid = "".join(f'<path class="grid" d="M0 {_at(place)}H{_SIDE}"/>' for _, place in rows)
    size = f'viewBox="0 0 {_SIDE} {_SIDE}" preserveAspectRatio="none" role="img" aria-label="{escape(chart.title)}"'
    left = "".join(f'<span style="top:{100 * place:.2f}%">{short(value)}</span>' for value, place in rows)
    foot = "".join(f'<span style="left:{100 * place:.2f}%">{short(value)}</span>' for value, place in columns)
    note = f'<p class="dim">{escape(chart.note)}</p>' if chart.note else ""
    wide = ' class="wide"' if chart.is_wide else ""
    return (
        f'<section{wide}><h2>{escape(chart.title)}</h2>{note}<div class="plot"><div class="ys">{left}</div>'
        f'<svg {size}>{grid}{drawn}</svg><div class="xs">{foot}</div></div>'
        f'<div class="key">{"".join(_key(line, colour, chart.x_name) for colour, line in coloured)}'
        f'<span class="dim">by {escape(chart.x_name)}</span></div></section>'
    )


def short(value: float) -> str:
    """A number in few characters."""
    if not math.isfinite(value):
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"


def _spans(lines: Sequence[Line]) -> tuple[Span, Span]:
    steps = [step for line in lines for step, _ in line.points]
    values = [value for line in lines for value in _counted(line)]
    values += [edge for line in lines for _, low, high in line.band for edge in (low, high)]
    return _span(steps, 0.0), _span(values, 0.06)


def _counted(line: Line) -> list[float]:
    """Without the lowest and highest 1 % of many, so that one wild step does not flatten the rest."""
    values = sorted(value for _, value in line.points)
    cut = len(values) // 100 if len(values) > _MANY else 0
    return values[cut : len(values) - cut]


def _span(values: Sequence[float], room: float) -> Span:
    low, high = min(values), max(values)
    if low == high:
        around = abs(low) / 10 or 1.0
        low, high = low - around, high + around
    more = (high - low) * room
    return Span(low - more, high + more)


def _round_up(step: float) -> float:
    """The next of 1, 2, 5, 10, ..."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= step * (1 - 1e-9))


def _at(share: float) -> str:
    return f"{share * _SIDE:.1f}".removesuffix(".0")


def _path(points: Points, x: Span, y: Span) -> str:
    placed = [f"{_at(x.share(step))} {_at(1 - y.share(value))}" for step, value in points]
    # A line of no length is drawn as a dot, because its ends are round.
    return f"M{placed[0]}h0" if len(placed) == 1 else "M" + "L".join(placed)


def _colours(lines: Sequence[Line]) -> list[int]:
    """A colour for each line; a faint one has that of the smoothed one behind it."""
    counts = [sum(line.kind != "faint" for line in lines[:number]) for number in range(len(lines))]
    return [count % _COLOURS for count in counts]


def _drawn(line: Line, colour: int, x: Span, y: Span) -> str:
    kind = f"k{colour} {line.kind}"
    there = [(step, high) for step, _, high in line.band]
    back = [(step, low) for step, low, _ in reversed(line.band)]
    band = f'<path class="{kind} band" d="{_path((*there, *back), x, y)}Z"/>' if len(there) > 1 else ""
    few = len(line.points) <= _FEW and line.kind == "plain"
    dots = "".join(f'<path class="{kind} dot" d="{_path((point,), x, y)}"/>' for point in line.points if few)
    return f'{band}<path class="{kind}" d="{_path(line.points, x, y)}"/>{dots}'


def _key(line: Line, colour: int, x_name: str) -> str:
    """The name of a line; over time its latest value, too."""
    last = f": {short(line.points[-1][1])}" if x_name == "step" else ""
    return f'<span class="k{colour}">{escape(line.name)}{last}</span>'
