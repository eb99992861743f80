from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console, RenderableType

from simpletuner.assemble.configure import screens
from simpletuner.assemble.configure.saving import Change
from simpletuner.assemble.configure.suggest import Facts
from simpletuner.core.errors import ConfigError
from simpletuner.data.captions.report import CaptionReport
from simpletuner.data.entries import Dropped
from simpletuner.data.places.upscaling import Upscaling
from simpletuner.data.report.report import DatasetReport
from tests.assemble.configure.conftest import answers
from tests.assemble.configure.test_suggest import facts


def text(what: RenderableType) -> str:
    console = Console(width=78, file=io.StringIO(), highlight=False, record=True)
    console.print(what)
    return console.export_text()


REPORT = DatasetReport(
    "cats",
    files=12,
    used=9,
    buckets={f"{number}.0": number for number in range(1, 8)},
    targets={f"{number}.0": f"{64 * number}x64" for number in range(1, 8)},
    batches=3,
    dropped=(
        *(Dropped(f"{name}.png", "too small", "larger") for name in "ab"),
        Dropped("c\x1b[31m.png", "broken", "-"),
    ),
    captions=CaptionReport("filename", median=3, longest=9),
    upscaled=Upscaling(2, 1, 1.7, "d.png"),
)


def test_what_became_of_the_pictures() -> None:
    told = text(screens.looked_at([REPORT]))
    assert "9 of 12 are used (cats)" in told
    assert "a.png and 1 more: too small" in told
    assert "\x1b" not in told
    # The largest buckets first, and not all of them.
    assert told.index("448x64") < told.index("384x64")
    assert "and 2 smaller" in told
    assert "2 pictures, the most 1.7 times: d.png" in told
    assert max(map(len, told.splitlines())) <= 78


def test_pictures_left_out_for_one_kind_of_reason_are_counted_together() -> None:
    dropped = [Dropped(f"{name}.png", f"its caption file is missing: {name}.txt", "write it") for name in "abc"]
    report = replace(REPORT, dropped=(*dropped, Dropped("d.png", "below the least: 8x8", "-")))
    told = text(screens.looked_at([report]))
    assert "a.png and 2 more: its caption file is missing" in told
    assert "d.png: below the least: 8x8" in told


def test_sizes_are_not_told_before_they_are_asked_for() -> None:
    told = text(screens.looked_at([REPORT], with_sizes=False))
    assert "bucket" not in told
    assert "enlarged" not in told
    assert "3 tokens as a rule, the longest 9" in told


def test_the_summary_has_what_matters() -> None:
    told = text(
        screens.summary(answers(batch=2, steps=100, learning_rate=1e-4, more={"use_ema": True}), facts(used=20))
    )
    for words in (
        "16/8  (42.5 M values, 85 MB)",
        "(20 pictures)",
        "(each picture 10 times)",
        "use_ema",
        "(none is found here)",
    ):
        assert words in told
    assert "rank" not in told
    assert "devices" not in told
    told = text(screens.summary(answers(adapter="lora", rank=16, prompt="", card="cpu"), Facts()))
    assert "rank" in told
    assert "previews" not in told
    assert "GB" not in told


def test_an_error_and_warnings() -> None:
    told = text(screens.problem(ConfigError("is missing", key="words", cure="write [bold]some[/bold]")))
    assert told.split("\n")[:2] == ["words: is missing", "write [bold]some[/bold]"]
    assert text(screens.worth(["one", "two"])) == "! one\n! two\n"


def test_a_change_of_a_file(tmp_path: Path) -> None:
    told = text(screens.change(Change(tmp_path / "a", b'{\n  "x": 1\n}', {"x": 2})))
    assert '-  "x": 1' in told
    assert '+  "x": 2' in told
    assert "before" not in told
