"""What the wizard shows: the pictures it found, what is worth a look, the whole of the answers, a change of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simpletuner.assemble.configure.answers import NAMES, Answers
from simpletuner.assemble.configure.cards import CARDS, OWN_NEED, counted
from simpletuner.assemble.configure.saving import Change
from simpletuner.assemble.configure.sizes import lokr_values, lora_values, size_text
from simpletuner.assemble.configure.suggest import Facts
from simpletuner.core.errors import ConfigError, SimpletunerError
from simpletuner.data.entries import Dropped
from simpletuner.data.report.report import DatasetReport
from simpletuner.observe.progress import plural, printable

_BUCKETS = 5
_REASONS = 4
_BAR = 20
_LABEL = 13
_HIDDEN = ("devices", "rank", "factor", "previews", "draw")
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def pairs(rows: Sequence[tuple[str, str]]) -> Table:
    """Two columns, the labels dim."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=_LABEL, style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, Text(printable(text)))
    return grid


def problem(error: SimpletunerError) -> RenderableType:
    """An error above the question that it leads back to."""
    where = f"{error.key}: " if isinstance(error, ConfigError) and error.key else ""
    told = Text(f"{where}{printable(error.reason)}", style="bold red")
    return told.append(f"\n{printable(error.cure)}", style="not bold red") if error.cure else told


def worth(texts: Sequence[str]) -> RenderableType:
    """Warnings, one below the other."""
    return Group(*(Text(f"! {text}", style="yellow") for text in texts))


def looked_at(reports: Sequence[DatasetReport], *, with_sizes: bool = True) -> RenderableType:
    """What became of the pictures: how many are used, what is left out and why, in which buckets ``with_sizes``."""
    return Group(*(pairs([*_uses(report), *(_sizes(report) if with_sizes else ())]) for report in reports))


def _uses(report: DatasetReport) -> Iterator[tuple[str, str]]:
    yield "pictures", f"{report.used:,} of {report.files:,} are used ({report.id})"
    yield from _left_out(report.dropped)
    if report.captions:
        yield "captions", f"{report.captions.median} tokens as a rule, the longest {report.captions.longest}"


def _sizes(report: DatasetReport) -> Iterator[tuple[str, str]]:
    buckets = sorted(report.buckets.items(), key=lambda pair: -pair[1])
    most = max(report.buckets.values(), default=1)
    for number, (key, count) in enumerate(buckets[:_BUCKETS]):
        bar = "━" * max(1, round(_BAR * count / most))
        yield ("" if number else "buckets"), f"{report.targets[key]:>9} {count:>5,} {bar}"
    if len(buckets) > _BUCKETS:
        yield "", f"and {len(buckets) - _BUCKETS} smaller"
    if report.upscaled.count:
        worst = f"the most {report.upscaled.shown} times"
        yield "enlarged", f"{plural(report.upscaled.count, 'picture')}, {worst}: {report.upscaled.file}"


def _left_out(dropped: Sequence[Dropped]) -> Iterator[tuple[str, str]]:
    # A reason begins with what is common to many pictures.
    reasons = Counter(item.reason.partition(":")[0] for item in dropped)
    example = {item.reason.partition(":")[0]: item for item in reversed(dropped)}
    for number, (reason, count) in enumerate(reasons.most_common(_REASONS)):
        first = example[reason]
        told = f"{first.file} and {count - 1} more: {reason}" if count > 1 else f"{first.file}: {first.reason}"
        yield ("" if number else "left out"), told
    if len(reasons) > _REASONS:
        yield "", f"and for {len(reasons) - _REASONS} other reasons"


def summary(answers: Answers, facts: Facts) -> RenderableType:
    """All answers by their names, and what follows from them."""
    skipped = {name for name in _HIDDEN if not _matters(name, answers)}
    rows = [(name, _told(name, answers, facts)) for name in NAMES if name not in skipped]
    rows += [(name, str(value)) for name, value in answers.more.items()]
    return pairs(rows)


def _matters(name: str, answers: Answers) -> bool:
    needs = {
        "devices": answers.devices > 1,
        "rank": answers.adapter == "lora",
        "factor": answers.adapter == "lokr",
        "previews": bool(answers.prompt),
        "draw": bool(answers.prompt and answers.previews),
    }
    return needs[name]


def _told(name: str, answers: Answers, facts: Facts) -> str:
    value = vars(answers)[name]
    return (f"{value:g}" if isinstance(value, float) else str(value) or "none") + _more(name, answers, facts)


def _more(name: str, answers: Answers, facts: Facts) -> str:
    if name == "card" and not facts.machine.kind:
        return "  (none is found here)"
    if name == "pictures" and facts.folder:
        return f"  ({plural(facts.pictures, 'picture')})"
    flavour = CARDS[answers.card].flavour
    if name == "factor":
        return f"  ({size_text(lokr_values(*answers.factors, flavour))})"
    if name == "rank":
        return f"  ({size_text(lora_values(answers.rank, flavour))})"
    if name == "steps" and facts.pictures:
        uses = answers.steps * answers.batch * answers.devices / facts.pictures
        return f"  (each picture {uses:,.0f} times)"
    if name == "batch" and CARDS[answers.card].gigabytes:
        need = counted(CARDS[answers.card].precision, max(answers.edges), answers.batch) + OWN_NEED
        return f"  ({need:.1f} GB counted)"
    return ""


def change(made: Change) -> RenderableType:
    """The lines of a file that change."""
    lines = made.diff().splitlines()[2:]
    return Group(
        *(Text(line, style=_COLOURS.get(line[:1], "dim"), no_wrap=True, overflow="ellipsis") for line in lines)
    )
