"""What processes that share a cache tell each other, as files: the scan of rank 0, and what each rank has filled.

Only rank 0 opens the index; the others read its result. What ends one of them ends all: its error is told as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simpletuner.core.errors import SimpletunerError, ToldError, as_told
from simpletuner.core.files import write_text
from simpletuner.core.ranks import Ranks
from simpletuner.data.captions.candidates import CaptionSpec
from simpletuner.data.entries import Dropped
from simpletuner.data.files.sift import ScannedDataset, named_captions
from simpletuner.data.files.table import PictureTable

_FAILED = "failed"
_DAY = 24 * 60 * 60.0


@dataclass(frozen=True)
class Share:
    """What one rank has filled: digests it learned, by path with the version they hold for, and what it dropped."""

    learned: Mapping[str, tuple[str, str]]
    dropped: tuple[Dropped, ...]
    encoded: int
    reused: int


def scan_once(
    folder: Path, ranks: Ranks, captions: CaptionSpec, name: str, scan: Callable[[], ScannedDataset]
) -> ScannedDataset:
    """What ``scan`` finds when rank 0 alone calls it. ``folder`` is one that all ranks see.

    Raises what ``scan`` raises; in the other ranks that is ToldError.
    """
    if ranks.count == 1:
        return scan()
    path = _file(folder, ranks, f"scan-{name}")
    if not ranks.is_first:
        ranks.wait()
        try:
            return _read_scan(path, captions)
        finally:
            ranks.wait()
    _sweep(folder)
    with _told(path, ranks):
        scanned = scan()
        _write_scan(path, scanned, captions)
    _until_read(path, ranks)
    return scanned


def share_all(folder: Path, ranks: Ranks, name: str, work: Callable[[], Share]) -> Sequence[Share]:
    """What ``work`` did in each rank, in the order of ranks.

    Raises what ``work`` raises; ToldError when it did so in another rank.
    """
    if ranks.count == 1:
        return [work()]
    files = [_file(folder, ranks, f"share-{rank}-{name}") for rank in range(ranks.count)]
    with _told(files[ranks.rank], ranks):
        _write(files[ranks.rank], asdict(work()))
    ranks.wait()
    try:
        return [_read_share(path) for path in files]
    finally:
        ranks.wait()
        files[ranks.rank].unlink(missing_ok=True)


def _file(folder: Path, ranks: Ranks, what: str) -> Path:
    return folder / f"exchange-{ranks.job}-{what}.json"


def _sweep(folder: Path) -> None:
    """Remove what jobs that were killed left."""
    for path in folder.glob("exchange-*-*.json"):
        # Another job may remove its own at this moment.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - _DAY:
                path.unlink()


@contextmanager
def _told(path: Path, ranks: Ranks) -> Iterator[None]:
    """Around what writes ``path``: an error takes its place, and is raised when all ranks have read it."""
    try:
        yield
    except SimpletunerError as error:
        _write(path, {_FAILED: as_told(error)})
        _until_read(path, ranks)
        raise


def _until_read(path: Path, ranks: Ranks) -> None:
    ranks.wait()
    ranks.wait()
    path.unlink(missing_ok=True)


def _write(path: Path, content: Any) -> None:
    # In ASCII: the name of a file may be no UTF-8.
    write_text(path, json.dumps(content), durable=False)


def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes())
    if _FAILED in content:
        raise ToldError(content[_FAILED])
    return content


def _write_scan(path: Path, scanned: ScannedDataset, captions: CaptionSpec) -> None:
    table = scanned.table
    content = {
        "id": scanned.id,
        "where": scanned.where,
        "files": scanned.files,
        "paths": list(table.paths),
        "widths": table.widths.tolist(),
        "heights": table.heights.tolist(),
        "captions": None if captions.follows_from_name else list(table.captions),
        "digests": dict(table.digests),
        "foci": dict(table.foci),
        "dropped": [asdict(item) for item in scanned.dropped],
        "notes": scanned.notes,
        "warnings": scanned.warnings,
        "uncaptioned": scanned.uncaptioned,
    }
    _write(path, content)


def _read_scan(path: Path, captions: CaptionSpec) -> ScannedDataset:
    content = _content(path)
    paths: Sequence[str] = content["paths"]
    given = content["captions"]
    table = PictureTable(
        dataset=content["id"],
        paths=paths,
        widths=np.asarray(content["widths"], dtype=np.int32),
        heights=np.asarray(content["heights"], dtype=np.int32),
        captions=named_captions(paths, captions) if given is None else [tuple(texts) for texts in given],
        digests=content["digests"],
        foci={path: (across, down) for path, (across, down) in content["foci"].items()},
    )
    dropped = tuple(Dropped(**item) for item in content["dropped"])
    return ScannedDataset(
        id=content["id"],
        where=content["where"],
        files=content["files"],
        table=table,
        dropped=dropped,
        notes=tuple(content["notes"]),
        warnings=tuple(content["warnings"]),
        uncaptioned=tuple(content["uncaptioned"]),
    )


def _read_share(path: Path) -> Share:
    content = _content(path)
    return Share(
        learned={name: (version, digest) for name, (version, digest) in content["learned"].items()},
        dropped=tuple(Dropped(**item) for item in content["dropped"]),
        encoded=content["encoded"],
        reused=content["reused"],
    )
