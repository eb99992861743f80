"""What is known of a data set's files, in SQLite beside its cache: a second start reads no picture again.

Rank 0 alone opens it. There is no write-ahead log, because the folder may lie on a network disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

_LAYOUT = 2
_BUSY_SECONDS = 60.0


class Known(NamedTuple):
    """What the index knows of one picture file.

    ``width`` and ``height`` are upright pixels as its header says, 0 where nobody has read it: sizes of a table are not
    kept. ``reason`` says why it cannot be used. ``text`` is the content of the caption file beside it at
    ``text_version``; ``focus`` is where a face is, "" when nobody looked; ``digest`` is the hex SHA-256 of the file, ""
    before its first reading.
    """

    version: str
    width: int = 0
    height: int = 0
    animated: bool = False
    reason: str = ""
    cure: str = ""
    text_version: str = ""
    text: bytes | None = None
    focus: str = ""
    digest: str = ""


_COLUMNS = {
    "version": "TEXT NOT NULL",
    "width": "INTEGER NOT NULL",
    "height": "INTEGER NOT NULL",
    "animated": "INTEGER NOT NULL",
    "reason": "TEXT NOT NULL",
    "cure": "TEXT NOT NULL",
    "text_version": "TEXT NOT NULL",
    "text": "BLOB",
    "focus": "TEXT NOT NULL",
    "digest": "TEXT NOT NULL",
}
_NAMES = ", ".join(_COLUMNS)
_CREATE = f"CREATE TABLE IF NOT EXISTS pictures (path TEXT PRIMARY KEY, {', '.join(map(' '.join, _COLUMNS.items()))})"


class Index:
    """The index file of one data set. ``rebuilt`` says that an unreadable one was replaced by an empty one."""

    def __init__(self, connection: sqlite3.Connection, *, rebuilt: bool) -> None:
        self._connection = connection
        self.rebuilt = rebuilt

    def load(self) -> dict[str, Known]:
        """Everything known, by path."""
        rows = self._connection.execute(f"SELECT path, {_NAMES} FROM pictures")
        return {row[0]: Known(*row[1:]) for row in rows}

    def save(self, rows: Iterable[tuple[str, Known]]) -> None:
        """Add or replace rows, in one transaction: after a kill all of them are there or none."""
        marks = ", ".join("?" * (len(_COLUMNS) + 1))
        with self._connection:
            self._connection.executemany(
                f"INSERT OR REPLACE INTO pictures (path, {_NAMES}) VALUES ({marks})",
                ((path, *known) for path, known in rows),
            )

    def forget(self, paths: Iterable[str]) -> None:
        """Remove rows."""
        with self._connection:
            self._connection.executemany("DELETE FROM pictures WHERE path = ?", ((path,) for path in paths))

    def learn_digests(self, learned: Mapping[str, tuple[str, str]]) -> None:
        """Note the digests of files that still have the version they were read at: path to (version, digest)."""
        with self._connection:
            self._connection.executemany(
                "UPDATE pictures SET digest = ? WHERE path = ? AND version = ?",
                ((digest, path, version) for path, (version, digest) in learned.items()),
            )

    def learn_damage(self, damaged: Mapping[str, tuple[str, str, str]]) -> None:
        """Note why files cannot be decoded that still have the version they were read at.

        ``damaged`` is path to (version, reason, cure).
        """
        with self._connection:
            self._connection.executemany(
                "UPDATE pictures SET reason = ?, cure = ? WHERE path = ? AND version = ?",
                ((reason, cure, path, version) for path, (version, reason, cure) in damaged.items()),
            )


@contextmanager
def open_index(path: Path) -> Iterator[Index]:
    """The index at ``path``, made when it is not there; a file that is no sound index is replaced by an empty one.

    Raises OSError or sqlite3.OperationalError when it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rebuilt = path.exists() and not _is_sound(path)
    if rebuilt:
        path.unlink()
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
        connection.execute(_CREATE)
        connection.execute(f"PRAGMA user_version = {_LAYOUT}")
        yield Index(connection, rebuilt=rebuilt)


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            (layout,) = connection.execute("PRAGMA user_version").fetchone()
            (check,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False
    return bool(layout == _LAYOUT and check == "ok")
