"""``validation_media.jsonl``: every picture that a run has shown, and small copies of them for the page."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from simpletuner.core.events import ImagesRendered, Picture
from simpletuner.observe.metrics_file import keep_until

FILE = "validation_media.jsonl"
_EDGE = 720
_QUALITY = 78


@dataclass(frozen=True)
class Shown:
    """A picture at a step; ``path`` is relative to the output folder where it lies in it."""

    step: int
    kind: str
    nickname: str
    prompt: str
    size: str
    path: str


class MediaFile:
    """Appends a line for each picture; what an interrupted run told of steps after ``first_step`` is cut off.

    Raises ``OSError`` when the file cannot be read or written.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._folder = folder
        self._path = folder / FILE
        kept = keep_until(self._path, first_step) if self._path.exists() else []
        self._shown = {(shown.path, shown.step): shown for shown in map(_read, kept)}

    def add(self, event: ImagesRendered) -> None:
        """Take note of new pictures."""
        with self._path.open("a", encoding="utf-8") as stream:
            for picture in event.pictures:
                record = _record(event, picture, self._folder)
                self._shown[record["path"], record["step"]] = Shown(**record)
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    def series(self) -> list[list[Shown]]:
        """The pictures of each prompt and size, by step."""
        found: dict[tuple[str, str], list[Shown]] = {}
        for shown in self._shown.values():
            found.setdefault((shown.nickname, shown.size), []).append(shown)
        return [sorted(each, key=lambda shown: shown.step) for each in found.values()]


class Thumbnails:
    """Small copies as data URIs, made once each. What cannot be read has none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, str] = {}

    def of(self, shown: Shown) -> str:
        """The copy of one picture; empty when it is gone or damaged."""
        if shown.path not in self._made:
            try:
                self._made[shown.path] = _data_uri(self._folder / shown.path)
            except (OSError, ValueError, Image.DecompressionBombError):
                return ""
        return self._made[shown.path]


def spread(shown: Sequence[Shown], most: int) -> list[Shown]:
    """At most ``most`` of a series, evenly, with the first and the last."""
    if len(shown) <= most:
        return list(shown)
    return [shown[place * (len(shown) - 1) // (most - 1)] for place in range(most)]


def _record(event: ImagesRendered, picture: Picture, folder: Path) -> dict[str, Any]:
    path = picture.path
    inside = path.is_relative_to(folder)
    return {
        "step": event.step,
        "kind": event.kind,
        "nickname": picture.nickname,
        "prompt": picture.prompt,
        "size": f"{picture.width}x{picture.height}",
        "path": os.fspath(path.relative_to(folder) if inside else path.absolute()),
    }


def _read(line: bytes) -> Shown:
    said = json.loads(line)
    return Shown(**{name: said[name] for name in Shown.__dataclass_fields__})


def _data_uri(path: Path) -> str:
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((_EDGE, _EDGE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, "WEBP", quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
