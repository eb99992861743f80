"""How the report of `check` looks on a terminal of 80 columns, with colours or without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from simpletuner.core.errors import ExitCode
from simpletuner.data.captions.report import CaptionReport
from simpletuner.data.entries import Dropped
from simpletuner.data.report.report import DatasetReport, Report
from simpletuner.observe.progress import plural, printable

_BUCKETS = 24
_DROPPED = 20
_BAR = 24
_LABEL = 10
_FILE = 28
_INDENT = (0, 0, 0, 2)


Pairs = Sequence[tuple[str, str]]


def show(console: Console, report: Report, code: int, outlook: Pairs = ()) -> None:
    """Print every data set, the problems and the totals; ``outlook`` are lines about the run, with their labels."""
    for note in report.notes:
        console.print(_pair("note", note, "dim"))
    for found in report.datasets:
        console.print(Group("", _title(found), *_dataset(found)))
    if report.problems:
        console.print(Group("", Text("worth a look" if code == ExitCode.OK else "problems", style="bold yellow")))
        for problem in report.problems:
            console.print(_bullet(problem))
    console.print(Group("", *(_pair(label, text) for label, text in outlook), *_totals(report, code)))


def _title(found: DatasetReport) -> Text:
    kind = "failed" if found.failed else found.type
    title = Text(printable(found.id), style="bold red" if found.failed else "bold cyan")
    return title.append(f"  {kind}  {printable(found.where)}", style="not bold default dim")


def _dataset(found: DatasetReport) -> Iterator[RenderableType]:
    if found.failed:
        yield _pair("failed", found.failed, "red")
        return
    yield Padding(_buckets(found), (0, 0, 0, 1), expand=False)
    for label, text in _facts(found):
        yield _pair(label, text)
    for note in found.notes:
        yield _pair("note", note, "dim")
    if found.dropped:
        yield _pair("left out", plural(len(found.dropped), "picture") + ":", "yellow")
        yield Padding(_dropped(found.dropped), (0, 0, 0, 4), expand=False)


def _buckets(found: DatasetReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="dim")
    for name in ("bucket", "size"):
        table.add_column(name, no_wrap=True)
    for name in ("pictures", *(["updates"] if found.updates else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", style="cyan", no_wrap=True)
    keys = sorted(found.buckets, key=lambda key: -found.buckets[key])[:_BUCKETS]
    most = max(found.buckets.values(), default=1)
    for key in (key for key in found.buckets if key in keys):
        count = found.buckets[key]
        updates = [f"{found.updates[key]:,}" if key in found.updates else ""] if found.updates else []
        bar = "━" * max(1, round(_BAR * count / most))
        table.add_row(key, found.targets[key], f"{count:,}", *updates, bar)
    if len(found.buckets) > len(keys):
        table.add_row("...", f"{len(found.buckets) - len(keys)} smaller")
    return table


def _facts(found: DatasetReport) -> Iterator[tuple[str, str]]:
    yield "used", _used(found)
    if found.captions:
        yield "captions", _captions(found.captions)
    if found.upscaled.count:
        worst = f"the most {found.upscaled.shown} times: {found.upscaled.file}"
        yield "enlarged", f"{plural(found.upscaled.count, 'picture')}, {worst}"
    for line in found.changes.lines():
        yield "changes", line
    if found.partners:
        yield "partners", ", ".join(found.partners)


def _used(found: DatasetReport) -> str:
    text = f"{found.used:,} of {plural(found.files, 'picture')}"
    if not found.batches:
        return text
    repeats = f" x ({found.repeats} repeats + 1)" if found.repeats else ""
    return f"{text}{repeats}; {plural(found.batches, 'update')} an epoch, {plural(found.batch, 'picture')} each"


def _captions(captions: CaptionReport) -> str:
    guess = " (estimated: the tokenizer is not on disk)" if captions.estimated else ""
    lengths = f"median {captions.median} tokens, longest {captions.longest}, at most {captions.advised} advised{guess}"
    counts = {
        "missing": captions.missing,
        "empty": captions.empty,
        "unusable": captions.unusable,
        "shared": len(captions.duplicates),
    }
    told = [f"{count:,} {name}" for name, count in counts.items() if count]
    return "; ".join([f"{captions.strategy}: {lengths}", *([", ".join(told)] if told else [])])


def _dropped(dropped: Sequence[Dropped]) -> Table:
    """The first of them, those with one cure together."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=_FILE, overflow="fold")
    table.add_column(overflow="fold")
    by_cure: dict[str, list[Dropped]] = {}
    for item in dropped[:_DROPPED]:
        by_cure.setdefault(item.cure, []).append(item)
    for cure, items in by_cure.items():
        for item in items:
            table.add_row(Text(printable(item.file)), Text(printable(item.reason)))
        table.add_row("", Text(f"cure: {printable(cure)}", style="dim"))
    if len(dropped) > _DROPPED:
        table.add_row("", Text(f"and {len(dropped) - _DROPPED:,} more in report.json"))
    return table


def _totals(report: Report, code: int) -> Iterator[RenderableType]:
    if not report.more.get("scanned", True):
        yield _pair("verdict", "the configuration is in order; no picture was looked at (--no-scan)", "bold green")
        return
    epochs = f"{report.steps / report.updates:,.3g} epochs" if report.updates else "no epoch"
    told = f"{plural(report.pictures, 'picture')}, {plural(report.updates, 'update')} an epoch"
    yield _pair("total", f"{told}; the run: {plural(report.steps, 'update')}, {epochs}")
    if code == ExitCode.OK:
        yield _pair("verdict", "this run can train", "bold green")
    else:
        yield _pair("verdict", "this run cannot train as it is: see the problems above", "bold red")


def _pair(label: str, text: str, style: str = "") -> Padding:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=_LABEL, style="dim", no_wrap=True)
    grid.add_column(overflow="fold", style=style)
    grid.add_row(Text(label), Text(printable(text)))
    return Padding(grid, _INDENT, expand=False)


def _bullet(problem: str) -> Padding:
    """A problem; what follows its first line is set in, also where it is wrapped."""
    first, *rest = problem.splitlines()
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1, style="yellow")
    grid.add_column(overflow="fold")
    grid.add_row("-", Text(printable(first)))
    for line in rest:
        grid.add_row("", Padding(Text(printable(line.strip())), _INDENT, expand=False))
    return Padding(grid, _INDENT, expand=False)
