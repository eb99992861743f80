"""Remembers the content digests of files, so that a second start reads no picture again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simpletuner.core.files import write_json
from simpletuner.data.keys import content_digest
from simpletuner.data.sources import FolderSource

_FILE = "digests.json"
# A file touched this recently could change again within the same tick of its clock.
_SETTLED_SECONDS = 2.0


class DigestMemory:
    """``digests.json`` in a cache folder: address to (version, digest). Losing it costs time only."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._known = _load(self._path)

    def remembered(self, source: FolderSource, path: str) -> str | None:
        """The digest of a file that has not changed since it was read, or None."""
        version, digest = self._known.get(source.address(path), ("", ""))
        return digest if version and version == _version(source, path) else None

    def read(self, source: FolderSource, path: str) -> tuple[bytes, str]:
        """Read a file and remember its digest. Raises :class:`PictureError` when it cannot be read."""
        before = _version(source, path)
        content = source.read(path)
        digest = content_digest(content)
        if before and before == _version(source, path) and _is_settled(source, path):
            self._known[source.address(path)] = (before, digest)
        return content, digest

    def save(self) -> None:
        """Write the memory beside the entries."""
        write_json(self._path, {address: list(fact) for address, fact in sorted(self._known.items())}, durable=False)


def _version(source: FolderSource, path: str) -> str:
    try:
        return source.version(path)
    except OSError:
        return ""


def _is_settled(source: FolderSource, path: str) -> bool:
    changed = source.changed_at(path)
    return changed is None or time.time() - changed > _SETTLED_SECONDS


def _load(path: Path) -> dict[str, tuple[str, str]]:
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, Mapping):
        return {}
    return {address: (fact[0], fact[1]) for address, fact in content.items() if _is_fact(fact)}


def _is_fact(fact: Any) -> bool:
    return isinstance(fact, list) and len(fact) == 2 and all(isinstance(part, str) for part in fact)
