"""What is known of a data set's files, in SQLite beside its cache: a second start reads no picture again.

Of one run rank 0 alone opens it; several commands may do so at once. There is no write-ahead log, because the folder
may lie on a network disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from simpletuner.data.files.versions import bare, unsettled

_LAYOUT = 2
_BUSY_SECONDS = 60.0
# What SQLite says of text that is no text, and of tables that are not those of an index.
_DAMAGE = ("decode", "no such column", "no such table")


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
_SELECT = f"SELECT path, {_NAMES} FROM pictures"
_TABLES = {
    "pictures": f"path TEXT PRIMARY KEY, {', '.join(map(' '.join, _COLUMNS.items()))}",
    "facts": "name TEXT PRIMARY KEY, value TEXT NOT NULL",
}
_SELECT_FACTS = "SELECT name, value FROM facts"
_RULES = "rules"


class Index:
    """The index file of one data set. ``rebuilt`` says that a damaged one was set aside for it."""

    def __init__(self, connection: sqlite3.Connection, *, rebuilt: bool) -> None:
        self._connection = connection
        self.rebuilt = rebuilt

    def load(self) -> dict[str, Known]:
        """Everything known, by path."""
        with closing(self._connection.execute(_SELECT)) as rows:
            return {row[0]: Known(*row[1:]) for row in rows}

    def judge_by(self, rules: str) -> None:
        """Believe no refusal that was made under other ``rules``: the next scan reads those files again, and no others.

        ``rules`` is text that changes whenever what is refused may have changed.
        """
        if (_RULES, rules) in _rows(self._connection, _SELECT_FACTS):
            return
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            refused = _rows(self._connection, "SELECT path, version FROM pictures WHERE reason != ''")
            self._connection.executemany(
                "UPDATE pictures SET version = ? WHERE path = ?",
                ((unsettled(bare(version)), path) for path, version in refused),
            )
            self._connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (_RULES, rules))

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
    """The index at ``path``, made when it is not there; a file that is no sound index is set aside for an empty one.

    Raises OSError or sqlite3.OperationalError when it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rebuilt = not _is_sound(path) and set_aside(path)
    with closing(_connect(path)) as connection:
        _make(connection)
        yield Index(connection, rebuilt=rebuilt)


def set_aside(path: Path) -> bool:
    """Rename the index at ``path`` to ``.damaged`` if it is; whether it was.

    One process at a time looks, at every row and with nobody else in the file: none moves away what another has just
    made. Raises OSError or sqlite3.OperationalError.
    """
    with closing(_connect(Path(f"{path}.lock"))) as turn:
        turn.execute("BEGIN EXCLUSIVE")
        with closing(_connect(path)) as connection:
            if _holds(connection, alone=True):
                return False
            _rename(path, f"{path}.damaged")
    return True


def _rename(path: Path, aside: str) -> None:
    # The journal first: one that stayed behind would be played back into the next index.
    for end in ("-journal", ""):
        with suppress(FileNotFoundError):
            Path(f"{path}{end}").replace(f"{aside}{end}")


def is_lost(error: sqlite3.DatabaseError) -> bool:
    """Whether an index is damaged, or was set aside by another process; a lock or a full disk is neither."""
    if not isinstance(error, sqlite3.OperationalError) or any(word in str(error) for word in _DAMAGE):
        return True
    # Only errors of SQLite itself have a code.
    return vars(error).get("sqlite_errorcode") == sqlite3.SQLITE_READONLY_DBMOVED


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_SECONDS)


def _is_sound(path: Path) -> bool:
    with closing(_connect(path)) as connection:
        return _holds(connection, alone=False)


def _holds(connection: sqlite3.Connection, *, alone: bool) -> bool:
    """Whether a file is an index or blank. ``alone`` keeps all others out until it is closed, and reads every row."""
    try:
        # All that is read is of one moment: another process may be making it.
        connection.execute("BEGIN EXCLUSIVE" if alone else "BEGIN")
        [(check,)] = _rows(connection, "PRAGMA quick_check(1)")
        layout = _layout(connection)
        if alone and layout == _LAYOUT:
            Index(connection, rebuilt=False).load()
            _rows(connection, _SELECT_FACTS)
        return bool(check == "ok" and (layout == _LAYOUT or (layout == 0 and _is_empty(connection))))
    except sqlite3.DatabaseError as error:
        if not is_lost(error):
            raise
        return False


def _make(connection: sqlite3.Connection) -> None:
    """Make what a blank file lacks, in one transaction: another process, or one after a kill, sees all or nothing."""
    if _layout(connection) == _LAYOUT and _tables(connection) >= _TABLES.keys():
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if _layout(connection) == 0 and _is_empty(connection):
            # Its columns may be others.
            connection.execute("DROP TABLE IF EXISTS pictures")
        for name, columns in _TABLES.items():
            connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
        connection.execute(f"PRAGMA user_version = {_LAYOUT}")


def _layout(connection: sqlite3.Connection) -> int:
    """The layout that a file says; 0 is what SQLite gives every new one."""
    [(layout,)] = _rows(connection, "PRAGMA user_version")
    return int(layout)


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in _rows(connection, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def _is_empty(connection: sqlite3.Connection) -> bool:
    """Whether nothing was ever kept in it: it was made a moment ago, or left by a kill at such a moment."""
    return "pictures" not in _tables(connection) or not _rows(connection, "SELECT 1 FROM pictures LIMIT 1")


def _rows(connection: sqlite3.Connection, select: str) -> list[tuple[Any, ...]]:
    # An open cursor that met damage would hold its lock as long as somebody looks at the error.
    with closing(connection.execute(select)) as cursor:
        return cursor.fetchall()
