from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from simpletuner.core.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    ImagesRendered,
    Notice,
    Picture,
    RunEnded,
    RunStarted,
    StageProgress,
    StepDone,
)
from simpletuner.core.foot import Foot
from simpletuner.observe.console import LiveConsole, PlainConsole

OUT = Path("output/models")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def started(first_step: int = 0, max_steps: int = 1000) -> RunStarted:
    return RunStarted("my run", OUT, first_step, max_steps, 3, ("adapter  LoKr", "data     24 pictures"))


def step(number: int, max_steps: int = 1000) -> StepDone:
    return StepDone(number, 1, max_steps, 0.5, 1e-4, 0.5, 1)


def plain(events: list[tuple[float, Event]]) -> list[str]:
    stream, clock = io.StringIO(), Clock()
    console = PlainConsole(stream, clock)
    for now, event in events:
        clock.now = now
        console.hear(event)
    console.close()
    return stream.getvalue().splitlines()


def test_a_log_file_gets_the_lines_and_the_summary() -> None:
    picture = Picture(OUT / "validation_images" / "a.png", "cat", "a cat", 64, 64)
    lines = plain(
        [
            (0, started()),
            (0, Notice("told", "warning")),
            (1, Evaluated(5, 1, {"loss/val/a": 0.5})),
            (1, ImagesRendered(5, "validation", (picture,))),
            (1, CheckpointSaved(5, OUT / "checkpoint-5")),
            (2, RunEnded(5, "interrupted", 2.0)),
        ]
    )
    assert lines == [
        "my run",
        "  adapter  LoKr",
        "  data     24 pictures",
        "warning: told",
        "step 5: loss/val/a 0.5000",
        "step 5: 1 validation picture (cat) in validation_images",
        "step 5: checkpoint saved in checkpoint-5",
        "interrupted: 5 steps in 0:00:02",
        f"saved so far in {OUT}",
    ]


def test_a_quick_run_writes_a_line_every_five_percent() -> None:
    lines = plain([(0, started()), *((0.001 * number, step(number)) for number in range(1, 1001))])
    assert [line.split(" (")[0] for line in lines[3:]] == [f"step {number}/1000" for number in range(50, 1001, 50)]


def test_a_slow_run_writes_a_line_every_ten_seconds_and_the_last_one() -> None:
    lines = plain([(0, started()), *((4.0 * number, step(number)) for number in (1, 2, 3, 4, 5, 6, 7, 1000))])
    assert [line.split("/")[0] for line in lines[3:]] == ["step 3", "step 6", "step 1000"]
    assert lines[3].endswith("smoothed loss 0.5000, lr 1.00e-04, 2.00 it/s, elapsed 0:00:12, ETA 0:08:18")


def test_stages_before_training_are_summed_up_and_those_within_are_quiet() -> None:
    caching = [(number / 10, StageProgress("vae", "caching latents", number, 24)) for number in range(25)]
    sampling = [(3.0, StageProgress("validation", "cat", number, 20)) for number in range(1, 21)]
    assert plain([*caching, (3, started()), *sampling]) == [
        "caching latents: 24 done in 0:00:02",
        "my run",
        "  adapter  LoKr",
        "  data     24 pictures",
    ]


def test_a_slow_stage_tells_where_it_is() -> None:
    lines = plain([(6.0 * number, StageProgress("vae", "caching", number, 5)) for number in range(6)])
    assert lines == ["caching: 2/5 (40%)", "caching: 4/5 (80%)", "caching: 5 done in 0:00:30"]


def test_text_that_the_stream_cannot_write_becomes_question_marks() -> None:
    raw = io.BytesIO()
    console = PlainConsole(io.TextIOWrapper(raw, encoding="ascii"))
    console.hear(Notice("猫 \x1b[31mcat"))
    assert raw.getvalue() == b"?  [31mcat\n"


def live(width: int) -> tuple[LiveConsole, Console, io.StringIO]:
    stream = io.StringIO()
    screen = Console(file=stream, width=width, height=30, force_terminal=True, color_system=None, highlight=False)
    return LiveConsole(screen, Clock()), screen, stream


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_bars_fit_the_terminal(width: int) -> None:
    console, screen, _ = live(width)
    console.hear(started(max_steps=100000))
    console.hear(step(99999, 100000))
    console.hear(StageProgress("validation", "a nickname that is far too long for any bar 猫", 5, 20))
    with screen.capture() as capture:
        screen.print(console.picture())
    console.close()
    rows = capture.get().splitlines()
    assert len(rows) == 3
    assert all(cell_len(row) <= width for row in rows)
    assert "5/20" in rows[0]
    assert "99999/100000" in rows[1]
    assert "99%" in rows[1]
    assert "ETA 0:00:00" in rows[1]
    assert "smoothed loss 0.5000" in rows[2]


def test_lines_scroll_above_and_the_summary_comes_last() -> None:
    console, _, stream = live(40)
    console.hear(started())
    console.hear(Notice(f"see /a/very/long/path/that/must/not/be/folded/{'x' * 30} [red]now"))
    console.hear(step(1000))
    console.hear(RunEnded(1000, "completed", 3.0))
    console.close()
    text = stream.getvalue()
    assert f"/a/very/long/path/that/must/not/be/folded/{'x' * 30}\n" in text
    assert "[red]now" in text
    assert text.rstrip().endswith(f"completed: 1,000 steps in 0:00:03\n  result in {OUT}")
    assert text.count("\x1b[?25h") == 1, "the cursor is given back"


def test_a_stage_that_ended_leaves_the_screen() -> None:
    console, screen, stream = live(80)
    console.hear(StageProgress("vae", "caching latents", 1, 2))
    console.hear(StageProgress("vae", "caching latents", 2, 2))
    console.close()
    with screen.capture() as capture:
        screen.print(console.picture())
    assert capture.get().strip() == ""
    assert "caching latents: 2 done in 0:00:00" in stream.getvalue()


def test_the_answer_to_a_signal_stands_below_the_bars_and_stays() -> None:
    foot, stream = Foot(), io.StringIO()
    screen = Console(file=stream, width=80, height=30, force_terminal=True, color_system=None, highlight=False)
    console = LiveConsole(screen, Clock(), foot=foot)
    assert not foot.shown
    console.hear(started())
    assert foot.shown
    foot.text = "finishing this step"
    with screen.capture() as capture:
        screen.print(console.picture())
    assert capture.get().splitlines()[-1].endswith("finishing this step")
    assert "\x1b[?25h" in capture.get(), "a second signal leaves a terminal with a cursor"
    console.hear(RunEnded(5, "interrupted", 2.0))
    assert not foot.shown
    last = stream.getvalue().rpartition("finishing this step")
    assert last[1]
    assert "interrupted: 5 steps" in last[2]


def test_the_last_row_leaves_room_for_what_the_terminal_echoes_of_ctrl_c() -> None:
    console, _, stream = live(80)
    console.hear(started())
    console.hear(step(5))
    console.close()
    last = stream.getvalue().replace("\x1b[?25h", "").rstrip().rpartition("\n")[2]
    assert "smoothed loss" in last
    assert cell_len(last) < 78
