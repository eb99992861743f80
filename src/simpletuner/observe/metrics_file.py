"""``metrics.jsonl``: one JSON object a step or evaluation, each step once, whatever interrupted the run."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from simpletuner.core.events import Evaluated, Event, RunStarted, StepDone
from simpletuner.core.files import write_bytes
from simpletuner.observe.progress import Smoothed

_log = logging.getLogger(__name__)

Record = dict[str, Any]


class MetricsFile:
    """Appends records and hands each to the system at once, so that a killed run loses none that it told.

    ``first_step`` is the step resumed from: later records, left by the interrupted run, are cut off when this run
    starts or tells something: one that is refused before cuts nothing. 0 is a fresh run, which keeps nothing. ``loss``
    is that of the updates before it, smoothed. An evaluation at the step just done joins that step's record. Raises
    ``OSError`` when the file cannot be read or written.
    """

    def __init__(self, path: Path, first_step: int) -> None:
        lines = list(_lines_until(path.read_bytes() if path.exists() else b"", first_step))
        self._path, self._first_step, self._is_cut = path, first_step, False
        self.loss = Smoothed.over(_losses(lines))
        self._last: Record = json.loads(lines[-1]) if lines else {}
        self._end = sum(len(line) for line in lines)
        self._begin = self._end - len(lines[-1]) if lines else 0
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._file = path.open("r+b", buffering=0)

    def hear(self, event: Event) -> None:
        """Record a step or an evaluation; other events are none of this file's business."""
        match event:
            case RunStarted():
                self._cut()
            case StepDone():
                self._put(_step_record(event))
            case Evaluated():
                self._put({"step": event.step, "epoch": event.epoch}, event.metrics)

    def close(self) -> None:
        """Everything is written already."""
        self._file.close()

    def _cut(self) -> None:
        """Cut off what an interrupted run left, once. The file is another one then."""
        if not self._is_cut:
            keep_until(self._path, self._first_step)
            self._file.close()
            self._file = self._path.open("r+b", buffering=0)
            self._is_cut = True

    def _put(self, record: Record, metrics: Mapping[str, float] | None = None) -> None:
        """Write ``record`` behind the last one, or over it when both tell of one step."""
        self._cut()
        same = self._last.get("step") == record["step"]
        joined = (self._last | record if same else record) | _numbers(metrics or {})
        begin = self._begin if same else self._end
        line = _line(joined)
        # One unbuffered write: a kill leaves the old bytes or the new ones. A short one (disk full) does not count,
        # so the next record goes over its remains.
        self._file.seek(begin)
        if self._file.write(line) != len(line):
            raise OSError(f"{self._file.name}: only a part of a record could be written")
        self._file.truncate()
        self._last, self._begin, self._end = joined, begin, begin + len(line)


def _step_record(event: StepDone) -> Record:
    facts: Record = {"step": event.step, "epoch": event.epoch}
    facts |= _numbers(
        {"train_loss": event.loss, "learning_rate": event.learning_rate, "step_seconds": event.step_seconds}
    )
    facts |= {key: value for key, value in _numbers(event.metrics).items() if key not in facts}
    return facts if event.resumed_from is None else facts | {"resumed_from": event.resumed_from}


def _numbers(metrics: Mapping[str, float]) -> Record:
    """JSON knows neither NaN nor infinity; null is what a reader of it expects for a number that is none."""
    return {key: value if math.isfinite(value) else None for key, value in metrics.items()}


def _line(record: Record) -> bytes:
    return (json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n").encode()


def record_at(path: Path, step: int) -> Record:
    """What a file has of ``step``; empty where it has nothing of it, or is not there. Raises ``OSError``."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    found = next((line for line in reversed(lines) if _step_of(line) == step), None)
    return dict(json.loads(found)) if found else {}


def keep_until(path: Path, first_step: int) -> list[bytes]:
    """The whole lines of a file up to a step, which stay in it; the others are cut off, all of them at step 0.

    The file is written anew only if there are others. Raises ``OSError``.
    """
    content = path.read_bytes() if path.exists() else b""
    kept = list(_lines_until(content, first_step))
    if sum(len(line) for line in kept) != len(content):
        _log.info("%s: %d of %d lines kept", path, len(kept), len(content.splitlines()))
        write_bytes(path, b"".join(kept))
    return kept


def _lines_until(content: bytes, first_step: int) -> Iterator[bytes]:
    for line in content.splitlines(keepends=True) if first_step > 0 else ():
        step = _step_of(line)
        if step is not None and step <= first_step:
            yield line


def _losses(lines: Iterable[bytes]) -> Iterator[float]:
    """The training losses of whole records; an update that was left out has none."""
    for line in lines:
        loss = json.loads(line).get("train_loss")
        if isinstance(loss, float):
            yield loss


def _step_of(line: bytes) -> int | None:
    """The step of a whole record; None for a line that a crash left half-written or that is none of ours."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    step = record.get("step") if isinstance(record, dict) else None
    return step if isinstance(step, int) else None
