"""`simpletuner check`: what a run would read, looked at without torch."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Console

from simpletuner import __version__
from simpletuner.assemble.data.inspect import Inspection, inspect_run
from simpletuner.cli.check_words import show
from simpletuner.cli.outlook import Outlook, foresee, require_logins
from simpletuner.cli.outlook_words import factor_rule, lokr_table, outlook_json, outlook_lines
from simpletuner.cli.select import select_run
from simpletuner.cli.words import CHECK, Words
from simpletuner.config.load import LoadedRun
from simpletuner.core.disk import shown_bytes
from simpletuner.core.errors import ConfigError, DataError, ExitCode
from simpletuner.core.events import Emit
from simpletuner.data.report.contact import SheetPart, write_sheet
from simpletuner.data.report.report import Report, as_json, write_report
from simpletuner.observe.build import build_console
from simpletuner.observe.console import PlainConsole


def check(words: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> int:
    """Check the run that ``words`` select, tell what was found and return the exit code. Raises SimpletunerError."""
    loaded, parsed = select_run(words, cwd, environ, CHECK)
    require_logins(loaded, cwd)
    is_quiet = "json" in parsed.switches
    if not is_quiet:
        click.echo(f"simpletuner {__version__}: {loaded.name}")
    checked = _read(loaded, parsed) if "no_scan" in parsed.switches else _scan(loaded, parsed, cwd)
    if is_quiet:
        click.echo(json.dumps(as_json(checked.report), indent=2))
    else:
        _show(checked, with_lokr="lokr" in parsed.switches)
    return checked.code


@dataclass(frozen=True)
class _Checked:
    """What was found, what `check` exits with, the run's outlook, and which files were written."""

    report: Report
    code: int
    outlook: Outlook
    written: tuple[str, ...] = ()


def _read(loaded: LoadedRun, parsed: Words) -> _Checked:
    """Only the files of the configuration."""
    if unfit := sorted({*parsed.switches, *parsed.values} & {"deep", "html"}):
        cure = "remove one of them"
        raise ConfigError("looks at pictures, and --no-scan does not", file="command line", key=unfit[0], cure=cure)
    outlook = foresee(loaded, {}, 0)
    more = {**outlook_json(outlook), "scanned": False}
    report = Report(datasets=(), problems=outlook.problems, notes=loaded.notices, more=more)
    return _Checked(report, ExitCode.OK, outlook)


def _scan(loaded: LoadedRun, parsed: Words, cwd: Path) -> _Checked:
    """The data sets too, and the report in the output folder."""
    listener = PlainConsole(sys.stderr) if "json" in parsed.switches else build_console()
    try:
        inspection = inspect_run(loaded, deep="deep" in parsed.switches, emit=listener.hear)
        outlook = foresee(loaded, inspection.surveyed, inspection.report.steps)
        inspection = _with_outlook(inspection, outlook)
        written = [_write_report(loaded, inspection)]
        if "html" in parsed.values:
            written.append(_write_sheet(cwd / parsed.values["html"], loaded, inspection, listener.hear))
    finally:
        listener.close()
    return _Checked(inspection.report, inspection.exit_code, outlook, tuple(written))


def _with_outlook(inspection: Inspection, outlook: Outlook) -> Inspection:
    report = inspection.report
    more = {**outlook_json(outlook), "scanned": True}
    return replace(inspection, report=replace(report, problems=(*report.problems, *outlook.problems), more=more))


def _show(checked: _Checked, *, with_lokr: bool) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A Japanese caption on a terminal without Unicode is worth question marks, not an end.
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    if with_lokr:
        _show_lokr(console, checked.outlook)
    show(console, checked.report, checked.code, outlook_lines(checked.outlook))
    for line in checked.written:
        # A path that is cut in the middle cannot be copied.
        console.print(line, soft_wrap=True, markup=False)


def _show_lokr(console: Console, outlook: Outlook) -> None:
    console.print(f"\nLoKr over every layer of the blocks, both factors whole; {factor_rule(outlook.lokr)}")
    if outlook.lokr:
        console.print(lokr_table(outlook.lokr, outlook.adapter.width if outlook.adapter else 2))
    else:
        console.print("  not counted: which layers the model has is known once its weights are on disk")


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
    return f"  {'sheet':<11}{path} ({shown_bytes(path.stat().st_size)})"


@contextmanager
def _writing(path: Path, key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = f"cannot be written: {error.strerror or error}"
        raise DataError(reason, file=path, key=key, cure="choose another place, or make it writable") from error
