"""The contact sheet of `check --html`: one page, complete in itself, with every picture and its real crop."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from simpletuner.core.events import Emit, StageProgress
from simpletuner.core.files import write_text
from simpletuner.data.captions.lengths import estimate_tokens
from simpletuner.data.captions.report import Yardstick
from simpletuner.data.entries import Entry, PictureError
from simpletuner.data.files.ahead import ahead
from simpletuner.data.files.headers import quiet_pillow
from simpletuner.data.files.images import open_rgb
from simpletuner.data.places.arrange import Arrangement
from simpletuner.data.places.geometry import Size
from simpletuner.data.places.limits import upscale_factor
from simpletuner.data.report.report import DatasetReport, Report
from simpletuner.data.sources.base import Source

MOST = 500
"""Pictures of one data set on a page."""
_EDGE = 160
_QUALITY = 75
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1c1e21; --soft: #666c75; --ground: #fff; --card: #f3f4f6; --line: #dde0e5; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e7e9ec; --soft: #9aa1ab; --ground: #131519; --card: #1d2026; --line: #333842; }}
}}
body {{ margin: 2rem auto; max-width: 76rem; padding: 0 1.5rem; color: var(--ink); background: var(--ground);
  font: 14px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.5rem; margin: 0 0 .3rem; }}
h2 {{ font-size: 1.15rem; margin: 2.4rem 0 .2rem; border-top: 1px solid var(--line); padding-top: 1.2rem; }}
p {{ margin: .2rem 0; }}
.soft, small {{ color: var(--soft); }}
.sheet {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr)); gap: .8rem; margin: 1rem 0; }}
figure {{ margin: 0; padding: .6rem; background: var(--card); border-radius: 8px; }}
.picture {{ position: relative; width: fit-content; margin: 0 auto .5rem; overflow: hidden; }}
.picture img {{ display: block; }}
.picture i {{ position: absolute; box-sizing: border-box; border: 2px solid #ff2bd6; box-shadow: 0 0 0 99rem #0007; }}
figcaption b {{ font-weight: 600; }}
figcaption small {{ display: block; font-size: .85em; }}
figcaption p {{ max-height: 8em; overflow: auto; white-space: pre-line; }}
table {{ border-collapse: collapse; margin: .8rem 0; }}
td, th {{ text-align: left; vertical-align: top; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--line); }}
li {{ white-space: pre-line; margin: .2rem 0; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


@dataclass(frozen=True)
class SheetPart:
    """One data set of the page. Pictures that follow another's window (masks) are not ``framed``."""

    report: DatasetReport
    made: Arrangement
    source: Source
    framed: bool = True


@dataclass(frozen=True)
class _Drawer:
    """Draws the figures of one data set."""

    part: SheetPart
    yardstick: Yardstick

    def figure(self, row: int) -> str:
        """One picture: itself, its window, and what is known of it."""
        entry = self.part.made.entry(row)
        return (
            f'<figure><div class="picture">{self._image(entry)}</div>'
            f"<figcaption><b>{_text(entry.sample.path)}</b>{_fact(self._facts(entry))}{_captions(entry)}"
            "</figcaption></figure>"
        )

    def _image(self, entry: Entry) -> str:
        try:
            image = open_rgb(self.part.source.read(entry.sample.path))
        except PictureError as error:
            return _fact(error.reason)
        image.thumbnail((_EDGE, _EDGE), Image.Resampling.LANCZOS, reducing_gap=2.0)
        stream = io.BytesIO()
        image.save(stream, "WEBP", quality=_QUALITY)
        data = base64.b64encode(stream.getvalue()).decode()
        shown = f'<img src="data:image/webp;base64,{data}" width="{image.width}" height="{image.height}" alt="">'
        return shown + (_frame(entry) if self.part.framed else "")

    def _facts(self, entry: Entry) -> str:
        size = Size(entry.width, entry.height)
        if not self.part.framed:
            return str(size)
        factor = upscale_factor(size, entry.placement)
        enlarged = f" · enlarged {factor:.2g} times" if factor > 1.0 else ""
        guess = "about " if self.yardstick.count is None else ""
        longest = max((self.yardstick.count or estimate_tokens)(entry.captions))
        return f"{entry.placement.key} · {size} → {entry.placement.target}{enlarged} · {guess}{longest} tokens"


def write_sheet(
    path: Path, title: str, report: Report, parts: Sequence[SheetPart], yardstick: Yardstick, emit: Emit
) -> None:
    """Write the page: at most :data:`MOST` pictures of each data set, evenly chosen. Raises OSError."""
    body = [f"<h1>{_text(title)}</h1>", _summary(report), _list("Worth a look", report.problems)]
    for part in parts:
        body += [_heading(part), '<div class="sheet">', *_figures(part, yardstick, emit), "</div>", _dropped(part)]
    write_text(path, _PAGE.format(title=_text(title), body="\n".join(body)), durable=False)


def chosen_rows(count: int, most: int = MOST) -> list[int]:
    """All of ``count`` rows, or ``most`` of them at even distances, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [int(row) for row in np.linspace(0, count - 1, most).round()]


def _figures(part: SheetPart, yardstick: Yardstick, emit: Emit) -> Iterator[str]:
    drawer, threads = _Drawer(part, yardstick), os.cpu_count() or 1
    rows = chosen_rows(len(part.made.table))
    with quiet_pillow(), ThreadPoolExecutor(threads) as pool:
        for place, figure in enumerate(ahead(pool, drawer.figure, rows, 4 * threads), 1):
            emit(StageProgress("check_sheet", f"Drawing {part.report.id}", place, len(rows)))
            yield figure


def _frame(entry: Entry) -> str:
    """The window as shares of the whole picture; the intermediary picture is the whole one, scaled."""
    whole, window = entry.placement.intermediary, entry.placement.target
    places = {
        "left": entry.crop.left / whole.width,
        "top": entry.crop.top / whole.height,
        "width": window.width / whole.width,
        "height": window.height / whole.height,
    }
    style = ";".join(f"{name}:{100 * share:.3f}%" for name, share in places.items())
    return f'<i style="{style}"></i>'


def _captions(entry: Entry) -> str:
    first, *more = entry.captions
    rest = _fact(f"and {len(more)} more captions, one is drawn at each use") if more else ""
    return f"<p>{_text(first)}</p>{rest}"


def _heading(part: SheetPart) -> str:
    found = part.report
    shown = min(len(part.made.table), MOST)
    told = f"{found.used:,} of {found.files:,} pictures are used"
    told += f"; {shown} of them, evenly chosen, are shown here" if shown < found.used else ""
    if not part.framed:
        frame = "Each follows the window of its picture."
    elif part.made.spec.epochs_differ:
        frame = "The frame is the window that the first epoch trains; it moves in each epoch."
    else:
        frame = "The frame is the window that is trained."
    where = f"{_text(found.type)} · {_text(found.where)}"
    return f'<h2>{_text(found.id)}</h2>\n<p class="soft">{where}</p>\n<p>{told}. {frame}</p>'


def _summary(report: Report) -> str:
    return f"<p>{report.pictures:,} pictures, {report.updates:,} updates an epoch, {report.steps:,} in the run.</p>"


def _dropped(part: SheetPart) -> str:
    if not part.report.dropped:
        return ""
    rows = (
        f"<tr><td>{_text(item.file)}</td><td>{_text(item.reason)}</td><td>{_text(item.cure)}</td></tr>"
        for item in part.report.dropped
    )
    head = "<tr><th>left out</th><th>reason</th><th>cure</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f"<h2>{title}</h2>\n<ul>{items}</ul>" if lines else ""


def _fact(text: str) -> str:
    return f"<small>{_text(text)}</small>"


def _text(text: str) -> str:
    """Text that can neither become markup nor turn the page around it."""
    return escape("".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text))
