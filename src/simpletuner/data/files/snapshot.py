"""What processes that share a cache tell each other, as files: the scan of rank 0, and what each rank has filled.

Only rank 0 opens the index; the others read its result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simpletuner.core.files import write_json
from simpletuner.data.captions.candidates import CaptionSpec
from simpletuner.data.entries import Dropped
from simpletuner.data.files.sift import ScannedDataset, named_captions
from simpletuner.data.files.table import PictureTable


@dataclass(frozen=True)
class Share:
    """What one rank has filled: digests it learned, by path with the version they hold for, and what it dropped."""

    learned: Mapping[str, tuple[str, str]]
    dropped: tuple[Dropped, ...]
    encoded: int
    reused: int


def write_scan(path: Path, scanned: ScannedDataset, captions: CaptionSpec) -> None:
    """Write a scan for the other ranks."""
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
    }
    write_json(path, content, durable=False)


def read_scan(path: Path, captions: CaptionSpec) -> ScannedDataset:
    """What :func:`write_scan` wrote."""
    content: dict[str, Any] = json.loads(path.read_bytes())
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
    notes = tuple(content["notes"])
    return ScannedDataset(content["id"], content["where"], content["files"], table, dropped, notes=notes)


def write_share(path: Path, share: Share) -> None:
    """Write what one rank has filled."""
    write_json(path, asdict(share), durable=False)


def read_share(path: Path) -> Share:
    """What :func:`write_share` wrote."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    return Share(
        learned={name: (version, digest) for name, (version, digest) in content["learned"].items()},
        dropped=tuple(Dropped(**item) for item in content["dropped"]),
        encoded=content["encoded"],
        reused=content["reused"],
    )
