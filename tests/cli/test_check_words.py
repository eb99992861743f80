from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from simpletuner.cli.check_words import show
from simpletuner.core.errors import DataError, ExitCode
from simpletuner.data.captions.report import CaptionReport
from simpletuner.data.entries import Dropped
from simpletuner.data.files.changes import Changes
from simpletuner.data.places.upscaling import Upscaling
from simpletuner.data.report.report import DatasetReport, Report, failed_report

CATS = DatasetReport(
    "cats",
    130,
    120,
    {"0.75": 100, "1.0": 20},
    16,
    (Dropped("a.heic", ".heic files are not supported", "convert it"), Dropped("b.heic", "the same", "convert it")),
    where="/data/cats",
    repeats=1,
    batch=8,
    targets={"0.75": "448x576", "1.0": "512x512"},
    updates={"0.75": 13, "1.0": 3},
    changes=Changes(added=("new.png",)),
    upscaled=Upscaling(count=1, strong=1, factor=2.5, file="tiny.png"),
    captions=CaptionReport("textfile", missing=1, empty=2, median=9, longest=40, advised=122),
    partners=("masks",),
    notes=("a note",),
)


def shown(report: Report, code: int = ExitCode.OK, **options: object) -> str:
    stream = io.StringIO()
    show(Console(file=stream, highlight=False, **({"width": 80} | options)), report, code)  # type: ignore[arg-type]
    return stream.getvalue()


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_everything_is_told() -> None:
    text = shown(Report((CATS,), ("a problem\n  with a second line",), ("a word before",), 16, 100, 7))
    for told in (
        "a word before",
        "cats image /data/cats",
        "0.75 448x576 100 13 ━",
        "used 120 of 130 pictures x (1 repeats + 1); 16 updates an epoch, 8 pictures each",
        "captions textfile: median 9 tokens, longest 40, at most 122 advised (estimated: the tokenizer is not on "
        "disk); 1 missing, 2 empty",
        "enlarged 1 picture, the most 2.5 times: tiny.png",
        "changes 1 added: new.png",
        "partners masks",
        "note a note",
        "left out 2 pictures: a.heic .heic files are not supported b.heic the same cure: convert it",
        "worth a look - a problem with a second line",
        "total 120 pictures, 16 updates an epoch; the run: 100 updates, 6.25 epochs",
        "verdict this run can train",
    ):
        assert told in one_line(text), told


def test_one_is_no_plural() -> None:
    found = replace(CATS, batch=1, batches=1)
    assert "; 1 update an epoch, 1 picture each" in one_line(shown(Report((found,), updates=1)))


def test_no_line_is_wider_than_80_columns() -> None:
    long = (
        "long words and_a_name_without_any_space_that_is_much_longer_than_a_terminal_is_wide_by_itself_and_more.png "
        * 3
    )
    found = DatasetReport("cats", 3, 1, {"1.0": 1}, 0, (Dropped(long, long, long),), where="/x", targets={"1.0": "8x8"},
        notes=(long,))  # fmt: skip
    lines = shown(Report((found,), (long,))).splitlines()
    assert max(map(len, lines)) <= 80


def test_a_failed_data_set_and_the_verdict() -> None:
    text = one_line(
        shown(Report((failed_report("cats", "image", "/x", DataError("no images")),), ("it failed",)), ExitCode.DATA)
    )
    assert "cats failed /x failed no images" in text
    assert "problems - it failed" in text
    assert "this run cannot train as it is" in text


def test_long_lists_are_cut_and_say_so() -> None:
    dropped = tuple(Dropped(f"{number}.png", "it is bad", "mend it") for number in range(45))
    buckets = {str(1 + number / 100): number + 1 for number in range(30)}
    found = DatasetReport("cats", 9, 9, buckets, 0, dropped, targets=dict.fromkeys(buckets, "64x64"))
    text = one_line(shown(Report((found,))))
    assert "and 25 more in report.json" in text
    assert text.count("it is bad") == 20
    assert "... 6 smaller" in text
    assert "1.29 64x64" in text
    assert "1.05 64x64" not in text


def test_what_a_caption_or_a_name_holds_is_no_markup_and_moves_no_cursor() -> None:
    found = failed_report("[red]cats\x1b[2J", "image", "/x[/red]", DataError("a\x1b]0;title\x07 [bold]b"))
    text = shown(Report((found,), ("[link=x]\x1b[31m",)), ExitCode.DATA, force_terminal=True, color_system=None)
    assert "\x1b" not in text.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[2m", "").replace(
        "\x1b[1;2m", ""
    )
    assert "[red]cats" in text
    assert "[bold]b" in text
    assert "[link=x]" in text
