"""Which listeners a run has."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from simpletuner.config.load import LoadedRun
from simpletuner.config.rules.together import TRACKERS, trackers
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.foot import Foot
from simpletuner.observe.console import LiveConsole, PlainConsole
from simpletuner.observe.fan_out import FanOut, Listener
from simpletuner.observe.metrics_file import MetricsFile
from simpletuner.observe.progress import NOTHING, Smoothed
from simpletuner.observe.publish.shareable import scrub_of
from simpletuner.observe.report.facts import Story
from simpletuner.observe.report.listener import ReportPage
from simpletuner.observe.tensorboard import TensorBoard
from simpletuner.observe.told import told_settings
from simpletuner.observe.trackers.identity import FILE, chart_identity
from simpletuner.observe.trackers.installed import usable
from simpletuner.observe.trackers.process import TrackerProcess
from simpletuner.observe.trackers.setup import Setup

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Terminal:
    """Where the console writes: ``interactive`` None asks the terminal; what ``foot`` says stands below its bars."""

    interactive: bool | None = None
    foot: Foot | None = None


def build_listeners(
    report_to: Sequence[str],
    output_dir: Path,
    logging_dir: str,
    first_step: int,
    *,
    more: Sequence[Listener] = (),
    terminal: Terminal | None = None,
) -> FanOut:
    """Metrics file, TensorBoard if ``report_to`` names it, ``more`` and the console; on the main process only.

    ``first_step`` is the step resumed from, 0 for a fresh run. Raises
    ``ConfigError`` for an unknown tracker and ``DataError`` when metrics.jsonl cannot be written.
    """
    for name in report_to:
        if name not in (*TRACKERS, "none"):
            cure = f"use one of: {', '.join((*TRACKERS, 'none'))}"
            raise ConfigError(f"there is no tracker {name!r}", key="report_to", cure=cure)
    metrics = _metrics_file(output_dir / "metrics.jsonl", first_step)
    listeners: list[Listener] = [metrics]
    if {"tensorboard", "all"} & set(report_to):
        listeners += _tensorboard(output_dir / logging_dir, first_step)
    console = build_console(terminal, metrics.loss)
    return FanOut([*listeners, *more, console])


def tracker_listeners(loaded: LoadedRun, first_step: int) -> list[Listener]:
    """The page and the trackers that ``report_to`` asks for, beside those that :func:`build_listeners` makes.

    Raises ``DataError`` when the output folder cannot be written.
    """
    report = loaded.config.report
    names, folder = trackers(report.report_to), Path(report.output_dir)
    try:
        page = [_page(loaded, first_step)] if {"simpletuner", "all"} & set(names) else []
        return [*page, *_processes(loaded, usable(names, loaded.environ, Path.cwd()))]
    except OSError as error:
        cure = "make the output folder writable, or choose another output_dir"
        raise DataError(f"cannot be written: {error.strerror}", file=error.filename or folder, cure=cure) from error


def _page(loaded: LoadedRun, first_step: int) -> ReportPage:
    report = loaded.config.report
    scrub = scrub_of(loaded)
    settings = told_settings(loaded.config, scrub)
    given = {name: settings[name] for name in loaded.values if name in settings}
    project, name = scrub(report.tracker_project_name), scrub(report.tracker_run_name)
    story = Story(project, name, given=given, settings=settings)
    return ReportPage(Path(report.output_dir), first_step, story, scrub)


def _processes(loaded: LoadedRun, names: Sequence[str]) -> list[Listener]:
    if not names:
        return []
    report, scrub = loaded.config.report, scrub_of(loaded)
    folder = Path(report.output_dir).absolute() / report.logging_dir
    common = Setup(
        tracker="",
        project=scrub(report.tracker_project_name),
        run_name=scrub(report.tracker_run_name),
        identity=chart_identity(loaded.config, folder / FILE),
        folder="",
        layout=report.tracker_image_layout,
        process=os.getpid(),
        settings=told_settings(loaded.config, scrub),
    )
    made = [replace(common, tracker=name, folder=str(folder / name)) for name in names]
    return [TrackerProcess(setup, loaded.environ) for setup in made]


def build_console(terminal: Terminal | None = None, loss: Smoothed = NOTHING) -> LiveConsole | PlainConsole:
    """Bars on a terminal, plain lines elsewhere; also for commands that report no metrics.

    ``loss`` is the smoothed loss that a run goes on from.
    """
    console, terminal = Console(highlight=False), terminal or Terminal()
    interactive = terminal.interactive
    if interactive is None:
        # The bars are drawn with characters that only Unicode terminals have.
        interactive = console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")
    return LiveConsole(console, loss=loss, foot=terminal.foot) if interactive else PlainConsole(sys.stdout, loss=loss)


def _metrics_file(path: Path, first_step: int) -> MetricsFile:
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
