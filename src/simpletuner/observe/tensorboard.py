"""The only door to TensorBoard: its own event writer, which needs neither torch nor TensorFlow."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event as Record
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from simpletuner.core.events import Evaluated, Event, ImagesRendered, Picture, RunEnded, StepDone

_FLUSH_SECONDS = 5


class TensorBoard:
    """Scalars a step and pictures, in ``folder``.

    ``first_step`` is the step resumed from: what an interrupted run told of later steps is hidden from the charts.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._writer = EventFileWriter(str(folder), flush_secs=_FLUSH_SECONDS)
        # A reader forgets all events of this step or later that lie in older files; a fresh run forgets step 0 too.
        purge_step = first_step + 1 if first_step else 0
        self._write(purge_step, session_log=SessionLog(status=SessionLog.START))
        self._writer.flush()

    def hear(self, event: Event) -> None:
        """Chart the numbers of a step or an evaluation; show new pictures."""
        match event:
            case StepDone():
                told = {"train_loss": event.loss, "learning_rate": event.learning_rate, "epoch": event.epoch}
                self._chart(event.step, told | {"step_seconds": event.step_seconds} | dict(event.metrics))
            case Evaluated():
                self._chart(event.step, event.metrics)
                # A run that goes on from this step does not tell it again.
                self._writer.flush()
            case ImagesRendered():
                self._show(event)
                self._writer.flush()
            case RunEnded():
                self._writer.flush()

    def close(self) -> None:
        """Write out what is queued."""
        self._writer.close()

    def _chart(self, step: int, numbers: Mapping[str, float]) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in numbers.items()]
        self._write(step, summary=Summary(value=values))

    def _show(self, event: ImagesRendered) -> None:
        seen: Counter[str] = Counter()
        for picture in event.pictures:
            tag = f"{picture.nickname} - {picture.width}x{picture.height}"
            seen[tag] += 1
            # Several pictures of one prompt and size at one step would hide each other under one tag.
            numbered = tag if seen[tag] == 1 else f"{tag} ({seen[tag]})"
            value = Summary.Value(tag=numbered, image=_image(picture))
            self._write(event.step, summary=Summary(value=[value]))

    def _write(self, step: int, *, summary: Summary | None = None, session_log: SessionLog | None = None) -> None:
        record = Record(wall_time=time.time(), step=step, summary=summary, session_log=session_log)
        self._writer.add_event(record)


def _image(picture: Picture) -> Summary.Image:
    """The picture as it lies on disk; other formats than PNG are re-encoded, because TensorBoard shows no WebP."""
    with Image.open(picture.path) as image:
        width, height = image.size
        if image.format == "PNG":
            return _encoded(picture.path.read_bytes(), width, height)
        content = io.BytesIO()
        image.convert("RGB").save(content, "PNG")
    return _encoded(content.getvalue(), width, height)


def _encoded(content: bytes, width: int, height: int) -> Summary.Image:
    return Summary.Image(encoded_image_string=content, width=width, height=height, colorspace=3)
