"""`simpletuner check`: what a run would read, looked at without torch."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from simpletuner import __version__
from simpletuner.assemble.inspect import Inspection, inspect_run
from simpletuner.cli.check_words import show
from simpletuner.cli.select import select_run
from simpletuner.cli.words import CHECK
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import DataError
from simpletuner.core.events import Emit
from simpletuner.data.report.contact import SheetPart, write_sheet
from simpletuner.data.report.report import as_json, write_report
from simpletuner.observe.build import build_console
from simpletuner.observe.console import PlainConsole


def check(words: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> int:
    """Check the run that ``words`` select, tell what was found and return the exit code. Raises SimpletunerError."""
    loaded, parsed = select_run(words, cwd, environ, CHECK)
    quiet = "json" in parsed.switches
    if not quiet:
        click.echo(f"simpletuner {__version__}: {loaded.name}")
    listener = PlainConsole(sys.stderr) if quiet else build_console()
    try:
        inspection = inspect_run(loaded, deep="deep" in parsed.switches, emit=listener.hear)
        written = [_write_report(loaded, inspection)]
        if "html" in parsed.values:
            written.append(_write_sheet(cwd / parsed.values["html"], loaded, inspection, listener.hear))
    finally:
        listener.close()
    if quiet:
        click.echo(json.dumps(as_json(inspection.report), indent=2))
    else:
        _show(inspection, written)
    return inspection.exit_code


def _show(inspection: Inspection, written: Sequence[str]) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A Japanese caption on a terminal without Unicode is worth question marks, not an end.
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    show(console, inspection.report, inspection.exit_code)
    for line in written:
        # A path that is cut in the middle cannot be copied.
        console.print(line, soft_wrap=True, markup=False)


def _write_report(loaded: LoadedRun, inspection: Inspection) -> str:
    """Write ``report.json`` and say where."""
    folder = Path(loaded.config.report.output_dir)
    made = "" if folder.is_dir() else f" (the folder {folder} is new)"
    with _writing(folder / "report.json", "output_dir"):
        write_report(folder / "report.json", inspection.report)
    return f"  {'report':<11}{folder / 'report.json'}{made}"


def _write_sheet(path: Path, loaded: LoadedRun, inspection: Inspection, emit: Emit) -> str:
    """Write the contact sheet and say where."""
    parts = [
        SheetPart(report, surveyed.arrangement, surveyed.source, framed=report.type != "conditioning")
        for report in inspection.report.datasets
        if (surveyed := inspection.surveyed.get(report.id)) is not None
    ]
    with _writing(path, "html"):
        write_sheet(path, loaded.name, inspection.report, parts, inspection.yardstick, emit)
    return f"  {'sheet':<11}{path} ({path.stat().st_size / 1e6:.1f} MB)"


@contextmanager
def _writing(path: Path, key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = f"cannot be written: {error.strerror or error}"
        raise DataError(reason, file=path, key=key, cure="choose another place, or make it writable") from error
