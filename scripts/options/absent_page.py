"""docs/not-here.md: options of other programs' files that this one refuses, with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from simpletuner.config.datasets.dataset import REFUSED_KEYS, RETIRED_KEYS
from simpletuner.config.reading.not_here import ABSENT, ABSENT_VARIABLES, Absent

_HEAD = """# What is not here

<!-- Written by `python -m scripts.options` from src/simpletuner/config/reading/not_here.py. -->

This program trains OmniGen on pictures, on the machines where it is started. Options for anything else are refused
where they ask for something, with a pointer to this page; switched off (`false`, `0`, `none`, empty) they may stay in
the file. A single value that is refused (`crop_style`, a number format ...) is told with its reason in
[options.md](options.md).
"""
_KEYS = """
## Keys of a data set

| Key | Why |
| --- | --- |
"""
_VARIABLES = """
## Variables of the environment

Set, they change nothing, and the start of a run says so. Those that are read: [configuration](configuration.md).

| Variable | Why |
| --- | --- |
"""
_LAST = """
## debug.log

No log file is written into the working directory. What a run does lies in its `output_dir` (`metrics.jsonl`,
`report.json`); `SIMPLETUNER_LOG_LEVEL=DEBUG` prints more, and `2>&1 | tee debug.log` behind the command keeps it.
"""


def absent_page() -> str:
    """The whole page."""
    groups = "\n".join(_group(group) for group in ABSENT)
    keys = "\n".join(f"| `{key}` | {reason} |" for key, reason in {**REFUSED_KEYS, **RETIRED_KEYS}.items())
    variables = "\n".join(f"| `{name}` | {reason} |" for name, reason in ABSENT_VARIABLES.items())
    return f"{_HEAD}\n{groups}{_KEYS}{keys}\n{_VARIABLES}{variables}\n{_LAST}"


def _group(group: Absent) -> str:
    names = ", ".join(_names(group))
    instead = f" Instead: {group.instead}." if group.instead else ""
    return f"## {group.title}\n\n{names}: {group.reason}.{instead}\n"


def _names(group: Absent) -> Iterator[str]:
    yield from (f"`{name}`" for name in group.names)
    yield from (f"`{beginning}...`" for beginning in group.beginnings)
