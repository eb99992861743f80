"""What must not leave the machine, taken out of texts that do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

HIDDEN = "***"
_SHORTEST = 8
_NAMES = re.compile(r"TOKEN|SECRET|PASSW|API_?KEY|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)
# Secrets that are known by their look, wherever they come from.
_LOOKS = (
    r"hf_[A-Za-z0-9]{16,}",
    r"AKIA[0-9A-Z]{16}",
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"(?<=/api/webhooks/)[^\s\"']+",
    r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",
    r"(?<=Bearer )[^\s\"',]+",
)


def scrubber(environ: Mapping[str, str], more: Iterable[str] = ()) -> Callable[[Any], Any]:
    """A function that hides secrets in a text, or in every text of a JSON value.

    Secrets are the values of variables with a telling name, ``more``, and whatever looks like one.
    """
    named = [value for name, value in environ.items() if _NAMES.search(name)]
    known = sorted({value for value in (*named, *more) if len(value) >= _SHORTEST}, key=len, reverse=True)
    pattern = re.compile("|".join((*map(re.escape, known), *_LOOKS)))

    def scrub(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(HIDDEN, value)
        if isinstance(value, Mapping):
            return {key: scrub(item) for key, item in value.items()}
        return [scrub(item) for item in value] if isinstance(value, list) else value

    return scrub
