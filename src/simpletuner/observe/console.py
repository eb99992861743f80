"""Progress for a person: live bars on a terminal, sparse plain lines in a log file."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.live import Live
from rich.text import Text

from simpletuner.core.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    ImagesRendered,
    Notice,
    RunEnded,
    RunStarted,
    StageProgress,
    StepDone,
)
from simpletuner.core.foot import Foot
from simpletuner.observe.bars import facts_row, stage_row, training_row
from simpletuner.observe.progress import (
    NOTHING,
    Smoothed,
    Stage,
    Training,
    duration,
    evaluated_line,
    percent,
    printable,
    rendered_line,
    saved_line,
    summary_lines,
)

_LINE_SECONDS = 10.0
_LINE_SHARE = 0.05

Clock = Callable[[], float]


class LiveConsole:
    """Bars at the foot of a terminal, one for training and one a running stage; everything else scrolls above."""

    def __init__(
        self, console: Console, clock: Clock = time.monotonic, loss: Smoothed = NOTHING, foot: Foot | None = None
    ) -> None:
        """``loss`` is that of the updates before this run; what ``foot`` says stands below the bars."""
        self._console = console
        self._foot = foot or Foot()
        self._clock = clock
        self._loss = loss
        self._training: Training | None = None
        self._stages: dict[str, Stage] = {}
        self._where = ""
        self._live = Live(get_renderable=self.picture, console=console, refresh_per_second=4)

    def hear(self, event: Event) -> None:
        """Move a bar or print a line above the bars."""
        match event:
            case RunStarted():
                self._start(event)
            case StageProgress():
                self._stage(event)
            case StepDone() if self._training:
                self._training = self._training.after(event)
            case RunEnded():
                self._end(event)
            case Notice() | CheckpointSaved() | ImagesRendered() | Evaluated():
                self._print(*_line(event, self._where))

    def close(self) -> None:
        """Leave the bars as they are and give the cursor back."""
        self._foot.shown = False
        self._live.stop()

    def picture(self) -> RenderableType:
        """The bars as they stand; called by the refresh thread, so it reads whole frozen values only."""
        now = self._clock()
        width = self._console.width
        rows: list[RenderableType] = [stage_row(stage, now, width) for stage in tuple(self._stages.values())]
        if self._training:
            rows += [training_row(self._training, now, width), facts_row(self._training)]
        if self._foot.text:
            # The cursor comes back with it: a second signal ends the process, and nobody could show it then.
            rows += [Control.show_cursor(show=True), Text(self._foot.text, style="yellow")]
        return Group(*rows)

    def _start(self, event: RunStarted) -> None:
        self._where = str(event.output_dir)
        self._print(event.name, "bold")
        for line in event.lines:
            self._print(f"  {line}")
        self._training = Training.at_start(event, self._clock(), self._loss)
        self._show()

    def _stage(self, event: StageProgress) -> None:
        stage = Stage.after(event, self._stages.get(event.stage), self._clock())
        if not stage.is_over:
            self._stages[event.stage] = stage
            self._show()
        elif self._stages.pop(event.stage, None) and not self._training:
            # Else the bar that is over stands under every line until the next refresh.
            self._live.refresh()
            self._print(_stage_over(stage, self._clock()), "dim")

    def _show(self) -> None:
        self._live.start()
        self._foot.shown = True

    def _end(self, event: RunEnded) -> None:
        self._stages.clear()
        self.close()
        first, *rest = summary_lines(event, self._training, self._where)
        self._training = None
        self._print(first, "bold green" if event.status == "completed" else "bold yellow")
        for line in rest:
            self._print(f"  {line}")

    def _print(self, line: str, style: str = "") -> None:
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        # Broken between words only: a path that is cut in the middle cannot be copied, so the terminal may fold it.
        lines = textwrap.wrap(
            printable(line),
            self._console.width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        self._console.print(Text("\n".join(lines), style=style), soft_wrap=True)


class PlainConsole:
    """Lines for a log file: no control code, and a progress line at most every 10 s or 5 % of the run."""

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic, loss: Smoothed = NOTHING) -> None:
        """``loss`` is that of the updates before this run."""
        self._stream = stream
        self._clock = clock
        self._loss = loss
        self._training: Training | None = None
        self._stages: dict[str, Stage] = {}
        self._said: dict[str, float] = {}
        self._said_step = 0
        self._where = ""

    def hear(self, event: Event) -> None:
        """Write a line, or keep quiet because the last one is too recent."""
        match event:
            case RunStarted():
                self._where = str(event.output_dir)
                self._training = Training.at_start(event, self._clock(), self._loss)
                self._said_step = event.first_step
                self._said["training"] = self._clock()
                self._write(event.name, *(f"  {line}" for line in event.lines))
            case StageProgress():
                self._stage(event)
            case StepDone() if self._training:
                self._training = self._training.after(event)
                self._step(self._training)
            case RunEnded():
                self._write(*summary_lines(event, self._training, self._where))
            case Notice() | CheckpointSaved() | ImagesRendered() | Evaluated():
                self._write(_line(event, self._where)[0])

    def close(self) -> None:
        """The stream belongs to the caller, who closes it."""
        self._stream.flush()

    def _stage(self, event: StageProgress) -> None:
        stage = Stage.after(event, self._stages.get(event.stage), self._clock())
        if not stage.is_over:
            if event.stage not in self._stages:
                self._said[event.stage] = stage.began
            self._stages[event.stage] = stage
            if self._is_time(event.stage):
                count = f"{stage.done}/{stage.total}"
                self._write(f"{stage.label}: {count} ({percent(stage.done, stage.total)})")
        elif self._stages.pop(event.stage, None) and not self._training:
            self._write(_stage_over(stage, self._clock()))

    def _step(self, training: Training) -> None:
        last = training.step >= training.max_steps
        far = training.step - self._said_step >= _LINE_SHARE * training.max_steps
        if not (last or far or self._is_time("training")):
            return
        self._said_step = training.step
        self._said["training"] = self._clock()
        count = f"step {training.step}/{training.max_steps} ({percent(training.step, training.max_steps)})"
        left = f"elapsed {duration(self._clock() - training.began)}, ETA {duration(training.seconds_left)}"
        self._write(", ".join((count, *training.facts(), left)))

    def _is_time(self, what: str) -> bool:
        now = self._clock()
        if now - self._said[what] < _LINE_SECONDS:
            return False
        self._said[what] = now
        return True

    def _write(self, *lines: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        for line in lines:
            # A Japanese prompt on an ASCII stream is worth question marks, not a silent console.
            self._stream.write(printable(line).encode(encoding, "replace").decode(encoding) + "\n")
        self._stream.flush()


def _line(event: Notice | CheckpointSaved | ImagesRendered | Evaluated, folder: str) -> tuple[str, str]:
    """The one line of an event, and its style."""
    match event:
        case Notice(text=text, level="warning"):
            return f"warning: {text}", "yellow"
        case Notice(text=text):
            return text, ""
        case CheckpointSaved():
            return saved_line(event, folder), "green"
        case ImagesRendered():
            return rendered_line(event, folder), "cyan"
        case Evaluated():
            return evaluated_line(event), "cyan"


def _stage_over(stage: Stage, now: float) -> str:
    return f"{stage.label}: {stage.total} done in {duration(now - stage.began)}"
