"""Which listeners a run has."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.observe.console import LiveConsole, PlainConsole
from simpletuner.observe.fan_out import FanOut, Listener
from simpletuner.observe.metrics_file import MetricsFile
from simpletuner.observe.tensorboard import TensorBoard

_log = logging.getLogger(__name__)

# metrics.jsonl is the local tracker and always written, so `simpletuner` adds nothing to `none`.
TRACKERS = ("tensorboard", "simpletuner", "all", "none")


def build_listeners(
    report_to: Sequence[str], output_dir: Path, logging_dir: str, first_step: int, *, interactive: bool | None = None
) -> FanOut:
    """Metrics file, trackers named in ``report_to`` and the console; call it on the main process only.

    ``first_step`` is the step resumed from, 0 for a fresh run. ``interactive`` None asks the terminal. Raises
    ``ConfigError`` for an unknown tracker and ``DataError`` when metrics.jsonl cannot be written.
    """
    for name in report_to:
        if name not in TRACKERS:
            raise ConfigError(
                f"there is no tracker {name!r}", key="report_to", cure=f"use one of: {', '.join(TRACKERS)}"
            )
    listeners: list[Listener] = [_metrics_file(output_dir / "metrics.jsonl", first_step)]
    if {"tensorboard", "all"} & set(report_to):
        listeners += _tensorboard(output_dir / logging_dir, first_step)
    return FanOut([*listeners, build_console(interactive=interactive)])


def build_console(*, interactive: bool | None = None) -> LiveConsole | PlainConsole:
    """Bars on a terminal, plain lines elsewhere; also for commands that report no metrics."""
    console = Console(highlight=False)
    if interactive is None:
        # The bars are drawn with characters that only Unicode terminals have.
        interactive = console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")
    return LiveConsole(console) if interactive else PlainConsole(sys.stdout)


def _metrics_file(path: Path, first_step: int) -> Listener:
    try:
        return MetricsFile(path, first_step)
    except OSError as error:
        cure = "make the output folder writable, or choose another output_dir"
        raise DataError(f"cannot be written: {error.strerror}", file=path, cure=cure) from error


def _tensorboard(folder: Path, first_step: int) -> list[Listener]:
    """A chart that cannot be started is told about; the run goes on without it."""
    try:
        return [TensorBoard(folder, first_step)]
    except OSError as error:
        _log.warning("TensorBoard could not start in %s (%s); training goes on without it", folder, error)
        return []
