"""The page itself: text in, HTML out; it loads nothing and runs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from simpletuner.observe.report.charts import Record, charts
from simpletuner.observe.report.facts import Story, data_remarks, data_rows, figures, headline
from simpletuner.observe.report.media import Shown, spread
from simpletuner.observe.report.svg import chart_html

_LOOK = Path(__file__).parents[1] / "look.css"
_OWN_LOOK = Path(__file__).with_name("report.css")
_MOST_STEPS = 8
_MOST_SERIES = 32
_MOST_BYTES = 12 << 20
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

Thumbnail = Callable[[Shown], str]


def page(
    story: Story,
    records: Sequence[Record],
    series: Sequence[Sequence[Shown]],
    thumbnail: Thumbnail,
    report: Mapping[str, Any],
    *,
    written: str,
) -> str:
    """The whole page. ``thumbnail`` gives a picture as a data URI; ``report`` is the content of report.json."""
    is_bad = story.end is not None and story.end.status != "completed"
    state = f'<span class="{"bad" if is_bad else "dim"}">{escape(headline(story, records))}</span>'
    boxes = "".join(
        f'<div class="fact"><span class="dim">{escape(name)}</span><b>{escape(value)}</b></div>'
        for name, value in figures(story, records)
    )
    parts = (
        f"<header><h1>{escape(story.name)}</h1>{state}</header>",
        f'<div class="facts">{boxes}</div>',
        f'<div class="charts">{"".join(map(chart_html, charts(records)))}</div>',
        *_pictures(series, thumbnail),
        *_trained(story),
        *_data(report),
        *_settings(story),
        f'<footer class="dim">{escape(story.project)} · written by simpletuner at step '
        f"{records[-1]['step'] if records else 0}, {escape(written)}</footer>",
    )
    look = _LOOK.read_text("utf-8") + _OWN_LOOK.read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(story.name)}</title>\n<style>\n{look}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _pictures(series: Sequence[Sequence[Shown]], thumbnail: Thumbnail) -> Iterator[str]:
    """A strip for each prompt, from the first to the last step."""
    strips, room, left_out = [], _MOST_BYTES, 0
    for shown in series[:_MOST_SERIES]:
        figures_made = []
        for one in spread(shown, _MOST_STEPS):
            source = thumbnail(one)
            room -= len(source)
            if room < 0:
                break
            figures_made.append(_figure(one, source))
        left_out += len(shown) - len(figures_made)
        if figures_made:
            strips.append(_strip(shown[0], figures_made))
    left_out += sum(len(shown) for shown in series[_MOST_SERIES:])
    if strips:
        more = f'<p class="dim">{left_out} more in validation_images.</p>' if left_out else ""
        yield f"<section><h2>Validation pictures</h2>{''.join(strips)}{more}</section>"


def _strip(first: Shown, made: Sequence[str]) -> str:
    name = f"<b>{escape(first.nickname)}</b> {escape(first.size)}"
    prompt = f'<span class="dim">{escape(first.prompt)}</span>'
    return f'<p class="prompt">{name} {prompt}</p><div class="strip">{"".join(made)}</div>'


def _figure(one: Shown, source: str) -> str:
    label = "base model" if one.kind == "benchmark" else f"step {one.step:,}"
    image = f'<img src="{source}" alt="{escape(f"{one.nickname}, {label}")}">' if source else "(not readable)"
    return f"<figure>{image}<figcaption>{escape(label)}</figcaption></figure>"


def _trained(story: Story) -> Iterator[str]:
    if story.lines:
        lines = "".join(f"<li>{escape(line)}</li>" for line in story.lines)
        yield f"<section><h2>What is trained</h2><ul>{lines}</ul></section>"


def _data(report: Mapping[str, Any]) -> Iterator[str]:
    rows, remarks = data_rows(report), data_remarks(report)
    if rows:
        told = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
        yield f"<section><h2>Data</h2>{_table(rows)}{f'<ul>{told}</ul>' if told else ''}</section>"


def _settings(story: Story) -> Iterator[str]:
    if story.settings:
        rest = {name: value for name, value in story.settings.items() if name not in story.given}
        others = f"<details><summary>{len(rest)} at their defaults</summary>{_values(rest)}</details>"
        yield f"<section><h2>Settings</h2>{_values(story.given)}{others}</section>"


def _values(settings: Mapping[str, Any]) -> str:
    return _table([("Setting", "Value"), *((name, _spelled(value)) for name, value in settings.items())])


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows[1:])
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
