"""The page as a listener: written at each evaluation, at each validation and at the end, whole or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simpletuner.core.events import Evaluated, Event, ImagesRendered, RunEnded, RunStarted
from simpletuner.core.files import write_text
from simpletuner.observe.report.facts import Story
from simpletuner.observe.report.media import MediaFile, Thumbnails
from simpletuner.observe.report.page import page
from simpletuner.observe.report.records import read_records

FILE = "training_report.html"
# At most so large a part of a run goes into writing.
_SHARE = 0.02


class ReportPage:
    """Writes the page of one output folder; hears an event after metrics.jsonl does.

    ``story`` is what is known before training; ``scrub`` hides secrets in texts; ``first_step`` is the step resumed
    from.
    """

    def __init__(self, folder: Path, first_step: int, story: Story, scrub: Callable[[Any], Any]) -> None:
        self._folder = folder.absolute()
        self._first_step = first_step
        self._media: MediaFile | None = None
        self._thumbnails = Thumbnails(self._folder)
        self._story = story
        self._scrub = scrub
        self._ended_writing = 0.0
        self._took = 0.0

    def hear(self, event: Event) -> None:
        """Take note; write the page when there is something new to look at. Raises OSError."""
        match event:
            case RunStarted():
                self._pictures()
                self._story = replace(self._story, max_steps=event.max_steps, lines=event.lines, end=None)
            case ImagesRendered():
                self._pictures().add(event)
                self._write_if_due()
            case Evaluated():
                self._write_if_due()
            # A run that failed before it began has nothing to add to the page of the one before it.
            case RunEnded() if self._story.max_steps:
                self._story = replace(self._story, end=replace(event, message=self._scrub(event.message)))
                self._write()

    def close(self) -> None:
        """Everything is written already."""

    def _pictures(self) -> MediaFile:
        """Those that stay, once this run starts or tells something: one that is refused before cuts nothing."""
        if self._media is None:
            self._media = MediaFile(self._folder, self._first_step)
        return self._media

    def _write_if_due(self) -> None:
        if time.monotonic() - self._ended_writing >= self._took / _SHARE:
            self._write()

    def _write(self) -> None:
        began = time.monotonic()
        written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        records, series = read_records(self._folder / "metrics.jsonl"), self._pictures().series()
        content = page(self._story, records, series, self._thumbnails.of, self._report(), written=written)
        write_text(self._folder / FILE, content)
        self._ended_writing = time.monotonic()
        self._took = self._ended_writing - began

    def _report(self) -> Mapping[str, Any]:
        try:
            found = json.loads((self._folder / "report.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
