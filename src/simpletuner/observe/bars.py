"""The rows at the foot of a terminal: bars, and what stands below them."""

from __future__ import annotations

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from simpletuner.observe.progress import Stage, Training, duration, percent, printable

_WIDE = 72


def training_row(training: Training, now: float, width: int) -> RenderableType:
    """The updates done; ``now`` is the clock in seconds, ``width`` that of the terminal in cells."""
    elapsed, left = duration(now - training.began), duration(training.seconds_left)
    times = f"elapsed {elapsed}  ETA {left}" if width >= _WIDE else f"ETA {left}"
    return _bar_row("training", training.step, training.max_steps, times, width)


def stage_row(stage: Stage, now: float, width: int) -> RenderableType:
    """What is done of a stage; ``now`` and ``width`` as for training."""
    elapsed = duration(now - stage.began)
    times = f"elapsed {elapsed}" if width >= _WIDE else elapsed
    return _bar_row(printable(stage.label), stage.done, stage.total, times, width)


def facts_row(training: Training) -> RenderableType:
    """Epoch, loss, rate and speed below the bar of training."""
    # Not filled up to the width: there the ^C that a terminal echoes would begin a new line, and the bars stand twice.
    return Text(f"  {'  '.join(training.facts())}", no_wrap=True, overflow="ellipsis", style="dim")


def _bar_row(label: str, done: int, total: int, times: str, width: int) -> RenderableType:
    # The bar takes what is left of the width; the label gives way before the numbers do.
    row = Table.grid(padding=(0, 2, 0, 0), expand=True)
    row.add_column(no_wrap=True, max_width=max(8, width // 3))
    row.add_column(ratio=1)
    for _ in range(3):
        row.add_column(no_wrap=True, justify="right")
    row.add_row(
        Text(label, overflow="ellipsis"), ProgressBar(total, done), f"{done}/{total}", percent(done, total), times
    )
    return row
