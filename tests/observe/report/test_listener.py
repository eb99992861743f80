from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from simpletuner.core.events import Evaluated, ImagesRendered, Notice, Picture, RunEnded, RunStarted, StepDone
from simpletuner.observe.metrics_file import MetricsFile
from simpletuner.observe.report.facts import Story
from simpletuner.observe.report.listener import FILE, ReportPage
from simpletuner.observe.report.media import FILE as MEDIA


def listening(folder: Path, first_step: int = 0) -> ReportPage:
    return ReportPage(folder, first_step, Story("p", "r"), lambda text: text.replace("canary", "***"))


def test_the_page_is_written_when_there_is_something_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"datasets": [{"id": "flat"}]}))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    metrics, page = MetricsFile(tmp_path / "metrics.jsonl", 0), listening(tmp_path)
    pages = []
    for event in (
        RunStarted("x", tmp_path, 0, 2, 1, ("48 layers",)),
        StepDone(1, 1, 2, 0.5, 1e-3, 0.1, 4),
        Notice("x"),
        Evaluated(1, 1, {"loss/val/a": 1.0}),
        ImagesRendered(1, "validation", (Picture(tmp_path / "a.png", "cat", "a cat", 8, 8),)),
        RunEnded(2, "failed", 1.0, "canary"),
    ):
        metrics.hear(event)
        page.hear(event)
        pages.append((tmp_path / FILE).read_text("utf-8") if (tmp_path / FILE).exists() else "")
    page.close()
    metrics.close()
    assert [bool(text) for text in pages] == [False, False, False, True, True, True]
    assert "running, step 1 of 2" in pages[3]
    for told in ("failed at step 2", "***", "data:image/webp", "48 layers", "flat", "Evaluation loss: a"):
        assert told in pages[-1], told
    assert "canary" not in pages[-1]


def test_writing_takes_a_small_part_of_a_run(tmp_path: Path) -> None:
    page = listening(tmp_path)
    page.hear(RunStarted("x", tmp_path, 0, 100, 1))
    page.hear(Evaluated(1, 1, {"a": 1.0}))
    first = (tmp_path / FILE).stat().st_mtime_ns
    for step in range(2, 100):
        page.hear(Evaluated(step, 1, {"a": 1.0}))
    assert (tmp_path / FILE).stat().st_mtime_ns == first


def test_a_run_that_never_began_leaves_the_page_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("of the one before")
    page = listening(tmp_path, 5)
    shown = json.dumps({"step": 7, "kind": "validation", "nickname": "", "prompt": "", "size": "8x8", "path": "a.png"})
    (tmp_path / MEDIA).write_text(f"{shown}\n")
    page.hear(RunEnded(5, "failed", 1.0))
    assert (tmp_path / FILE).read_text() == "of the one before"
    assert (tmp_path / MEDIA).read_text() == f"{shown}\n"
    (tmp_path / "report.json").write_text("half")
    page.hear(RunStarted("x", tmp_path, 5, 9, 1))
    assert (tmp_path / MEDIA).read_text() == ""
    page.hear(RunEnded(9, "completed", 1.0))
    assert "completed at step 9" in (tmp_path / FILE).read_text()


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_charts_and_pictures(tmp_path: Path, width: int) -> None:
    Image.new("RGB", (400, 200), "#ff00ff").save(tmp_path / "a.png")
    metrics, page = MetricsFile(tmp_path / "metrics.jsonl", 0), listening(tmp_path)
    page.hear(RunStarted("x", tmp_path, 0, 40, 1))
    for step in range(1, 41):
        metrics.hear(StepDone(step, 1, 40, 1 / step, 1e-3, 0.1, 4))
    page.hear(ImagesRendered(40, "validation", (Picture(tmp_path / "a.png", "cat", "a cat", 8, 8),)))
    metrics.close()
    browser = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name)))
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},2400"]
    shot, profile = tmp_path / "shot.png", tmp_path / "profile"
    words = [browser, *switches, f"--user-data-dir={profile}", f"--screenshot={shot}", f"file://{tmp_path / FILE}"]
    subprocess.run(words, capture_output=True, timeout=120, check=True)
    with Image.open(shot) as image:
        colours = image.convert("RGB").getcolors(1 << 24)
    pictured = sum(count for count, (red, green, blue) in colours if red > 240 and green < 20 and blue > 240)
    drawn = sum(count for count, colour in colours if colour == (0x29, 0x62, 0xD9))
    assert pictured > 20_000
    assert drawn > 200
