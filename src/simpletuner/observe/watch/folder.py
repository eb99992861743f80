"""An output folder, read and never written: its metrics, pictures and report, and nothing else of the disk."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

_PICTURES = {".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg"}
_PICTURE_FOLDERS = ("validation_images", "benchmarks/base_model")
_FILES = {"metrics.jsonl": "application/x-ndjson", "report.json": "application/json"}
_MOST_SHOWN = 60
_MOST_POINTS = 1500

Facts = Callable[[Path], Mapping[str, str]]
"""What a picture says of itself; empty when it says nothing."""


class RunFolder:
    """The folder of one run, at whatever moment it is looked at. ``facts`` reads what pictures hold beside pixels."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        self._folder = folder.resolve()
        self._facts = facts
        self._captions: dict[tuple[str, int], str] = {}
        self._tail = _Tail(self._folder / "metrics.jsonl")

    def points(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl, so far as they are whole; neighbours are joined where there are many."""
        return thinned(self._tail.records(), _MOST_POINTS)

    def pictures(self) -> list[dict[str, str]]:
        """``name`` and ``caption`` of the latest pictures, newest first."""
        found = sorted(self._found(), key=lambda item: (item[1].st_mtime_ns, item[0]), reverse=True)
        return [{"name": name, "caption": self._caption(name, stat)} for name, stat in found[:_MOST_SHOWN]]

    def files(self) -> list[str]:
        """Which of the files that may be downloaded are there."""
        return [name for name in _FILES if self._inside(self._folder / name)]

    def open(self, name: str) -> tuple[Path, str] | None:
        """The full path and media type of a file that may be shown; None for every other name."""
        if name in _FILES:
            return (self._folder / name, _FILES[name]) if self._inside(self._folder / name) else None
        # The name is looked up among those that are shown: no path is ever made from what a browser asks for.
        if all(name != known for known, _ in self._found()):
            return None
        return self._folder / name, _PICTURES[Path(name).suffix]

    def _found(self) -> Iterator[tuple[str, os.stat_result]]:
        for place in _PICTURE_FOLDERS:
            folder = self._folder / place
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.suffix in _PICTURES and not path.name.startswith(".") and self._inside(path):
                    yield f"{place}/{path.name}", path.stat()

    def _inside(self, path: Path) -> bool:
        """Whether it is a file below the folder; a link may not lead out of it."""
        return path.is_file() and path.resolve().is_relative_to(self._folder)

    def _caption(self, name: str, stat: os.stat_result) -> str:
        key = (name, stat.st_mtime_ns)
        if key not in self._captions:
            facts = self._facts(self._folder / name)
            step = f"step {facts['global_step']}" if "global_step" in facts else Path(name).stem
            self._captions[key] = " · ".join(part for part in (step, facts.get("prompt", "")) if part)
        return self._captions[key]


class _Tail:
    """Records of a file that grows, whose last line is sometimes written anew and which a resumed run cuts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._settled: list[dict[str, Any]] = []
        self._last: list[dict[str, Any]] = []
        self._begin = 0
        self._inode = 0
        self._alone = threading.Lock()

    def records(self) -> list[dict[str, Any]]:
        """Every whole record that the file holds now."""
        with self._alone:
            try:
                self._look()
            except OSError:
                self._settled, self._last, self._inode = [], [], 0
            return self._settled + self._last

    def _look(self) -> None:
        with self._path.open("rb") as stream:
            stat = os.fstat(stream.fileno())
            if stat.st_ino != self._inode or stat.st_size < self._begin:
                self._inode, self._begin, self._settled = stat.st_ino, 0, []
            stream.seek(self._begin)
            lines = [line for line in stream.read().splitlines(keepends=True) if line.endswith(b"\n")]
        self._settled += _records(lines[:-1])
        self._last = _records(lines[-1:])
        self._begin += sum(len(line) for line in lines[:-1])


def _records(lines: list[bytes]) -> list[dict[str, Any]]:
    return [record for line in lines if (record := _record(line))]


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("step"), int) else None


def thinned(records: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most ``most`` records: neighbours are joined, the later values win, so that rare ones are not lost."""
    each = -(-len(records) // most) if records else 1
    if each == 1:
        return records
    joined = []
    for first in range(0, len(records), each):
        one: dict[str, Any] = {}
        for record in records[first : first + each]:
            one |= record
        joined.append(one)
    return joined
