"""Several mistakes of one file are told together, so that one look at the file is enough."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from simpletuner.core.errors import ConfigError

_MOST = 12


def near(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` when one of ``known`` is close to ``word``, else an empty text."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    return f"did you mean '{by_lower[found[0]]}'?" if found else ""


def raise_all(problems: Sequence[ConfigError]) -> None:
    """Raise the only problem as it is, or one ConfigError that lists them; do nothing when there is none."""
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    told = [problem.message() for problem in problems[:_MOST]]
    more = [f"... and {len(problems) - _MOST} more"] if len(problems) > _MOST else []
    raise ConfigError("\n".join([f"{len(problems)} problems:", *told, *more]))
