"""Which files will change, how, and changing them: whole or not at all, the former ones kept."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpletuner.core.errors import ConfigError
from simpletuner.core.files import unused_name, write_bytes, write_text

_INDENT = re.compile(rb"^( {1,8})\S", re.MULTILINE)


@dataclass(frozen=True)
class Change:
    """One file: its path, what is there (None when nothing is), and its content to be."""

    path: Path
    before: bytes | None
    content: Any

    @property
    def text(self) -> str:
        """What will be written, set in as the former file is."""
        found = _INDENT.search(self.before or b"")
        return json.dumps(self.content, indent=len(found[1]) if found else 2, ensure_ascii=False) + "\n"

    @property
    def is_new(self) -> bool:
        """Whether nothing is replaced."""
        return self.before is None

    def diff(self) -> str:
        """The lines that change, as ``diff -u`` shows them."""
        before = (self.before or b"").decode(errors="replace").splitlines(keepends=True)
        lines = difflib.unified_diff(before, self.text.splitlines(keepends=True), "before", "after", n=2)
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def changes(files: Mapping[str, Any], paths: Mapping[str, Path]) -> tuple[Change, ...]:
    """The files that differ from what is there. Raises ConfigError for one that cannot be read."""
    found = (Change(paths[name], _there(paths[name]), content) for name, content in files.items())
    return tuple(change for change in found if not _says_the_same(change))


def _there(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=path, cure="move it away") from None


def _says_the_same(change: Change) -> bool:
    """Whether the file says it already, in whatever layout; the order of keys is layout too."""
    try:
        return change.before is not None and json.loads(change.before) == change.content
    except ValueError:
        return False


def save(changed: Sequence[Change]) -> tuple[Path, ...]:
    """Write the changes, ``config.json`` last, and return where the former files are kept.

    Raises ConfigError when one cannot be written; then no later one is.
    """
    kept = []
    for change in reversed(changed):
        try:
            if change.before is not None:
                kept.append(unused_name(change.path.with_name(f"{change.path.name}.bak")))
                write_bytes(kept[-1], change.before)
            write_text(change.path, change.text)
        except OSError as error:
            reason = f"cannot be written: {error.strerror or error}"
            raise ConfigError(reason, file=change.path, cure="make its folder writable, or name another PATH") from None
    return tuple(kept)
