"""Content digests of a data set's files: those known from the index, and those learned while reading."""

from __future__ import annotations

from collections.abc import Mapping

from simpletuner.data.cache.keys import content_digest
from simpletuner.data.sources.base import Source


class Digests:
    """``known`` maps the path of each file that is unchanged since it was last read to its digest, hex SHA-256.

    ``learned`` collects path to (version, digest) for the index. May be used from several threads.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = dict(known)
        self.learned: dict[str, tuple[str, str]] = {}

    def get(self, path: str) -> str | None:
        """The digest of a file that needs no reading, or None."""
        return self._known.get(path)

    def add(self, learned: Mapping[str, tuple[str, str]]) -> None:
        """Know what another process has learned."""
        self._known.update({path: digest for path, (_, digest) in learned.items()})

    def read(self, source: Source, path: str) -> tuple[bytes, str]:
        """Read a file and learn its digest. Raises :class:`PictureError` when it cannot be read."""
        before = source.version(path)
        content = source.read(path)
        digest = content_digest(content)
        self._known[path] = digest
        if before and before == source.version(path):
            self.learned[path] = (before, digest)
        return content, digest
