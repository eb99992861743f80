"""metrics.jsonl as the page needs it: however long the run is, a bounded number of records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_MOST = 1500


def read_records(path: Path, most: int = _MOST) -> list[dict[str, Any]]:
    """The records, oldest first; neighbours are joined where there are many, and the later values win.

    Empty without the file. Raises OSError when it cannot be read.
    """
    if not path.exists():
        return []
    with path.open("rb") as stream:
        each = max(1, -(-sum(1 for _ in stream) // most))
        stream.seek(0)
        return _joined(_records(stream), each)


def _records(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("step"), int):
            yield found


def _joined(records: Iterable[dict[str, Any]], each: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number, record in enumerate(records):
        if number % each:
            made[-1] |= record
        else:
            made.append(record)
    return made
