"""Remove from a cache what nothing uses any more."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from simpletuner.data.cache.store import TensorStore

# A file that is being written is seconds old.
_ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class Pruned:
    """Files removed and their bytes, and the entries that stay."""

    removed: int
    bytes: int
    kept: int


def prune(store: TensorStore, used: Collection[str]) -> Pruned:
    """Remove each entry whose key is not in ``used``, and what killed processes left half-written over an hour ago.

    Files that are not the store's stay. ``used`` must hold the keys of everything that shares the folder: the latents
    and masks of every data set, of every epoch that is still to come. Raises OSError when the folder cannot be changed.
    """
    unused = _unused(store, used)
    for path in unused:
        path.unlink(missing_ok=True)
    return Pruned(len(unused), sum(unused.values()), len(store.keys()))


def _unused(store: TensorStore, used: Collection[str]) -> dict[Path, int]:
    """What is to be removed, and its bytes."""
    found = {store.path(key): _size(store.path(key)) for key in sorted(store.keys() - frozenset(used))}
    oldest = time.time() - _ABANDONED_SECONDS
    return found | {path: _size(path) for path in sorted(store.partials()) if _changed_at(path) < oldest}


def _size(path: Path) -> int:
    """0 for a file that another process has removed."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _changed_at(path: Path) -> float:
    """When a file was last written; never, as far as pruning goes, for one that another process has renamed."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
