"""`simpletuner watch` as a process: told by a run's own webhook, looked at by a real browser."""

from __future__ import annotations

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from PIL import Image, ImageDraw
from pydantic import SecretStr

from simpletuner.cli.main import run
from simpletuner.cli.watch import picture_facts
from simpletuner.config.files.webhooks import Webhook
from simpletuner.core.events import ImagesRendered, Notice, Picture, PreviewDrawn, RunStarted, StepDone
from simpletuner.observe.webhook.listener import WebhookListener
from simpletuner.observe.webhook.secrets import scrubber
from simpletuner.observe.webhook.sender import Pace, Sender
from simpletuner.validation.save import save_picture

EVIL = "<img src=x onerror=\"document.title='broken in'\"><script>document.title='broken in'</script>"


@dataclass
class Watching:
    """The process, the page's address and what it says to write into a configuration."""

    process: subprocess.Popen[str]
    address: str
    configuration: dict[str, dict[str, str]]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The output folder of a run of 400 steps with pictures."""
    folder = tmp_path / "out"
    (folder / "validation_images").mkdir(parents=True)
    chance = random.Random(1)
    with (folder / "metrics.jsonl").open("w") as stream:
        for step in range(1, 401):
            loss = 0.35 + 0.5 * math.exp(-step / 90) + chance.uniform(-0.08, 0.08)
            record = {
                "step": step,
                "epoch": 1 + step // 100,
                "train_loss": loss,
                "learning_rate": 1e-4 * (1 - step / 450),
            }
            record |= {"step_seconds": 0.41 + chance.uniform(0, 0.04), "grad_norm": chance.uniform(0.4, 0.9)}
            if step % 50 == 0:
                record |= {f"chart/loss/val/eval/{number / 20:.3f}": 0.3 for number in range(20)}
                record |= {"loss/val/eval/base": 0.7, "loss/val/eval": loss + 0.02, "loss/val/eval/se": 0.1}
            record |= {"loss/linear_reference": 0.31, "loss/explained": step / 700, "loss/bin/0": 1.2 * loss}
            stream.write(json.dumps(record) + "\n")
    for number, prompt in enumerate((EVIL, "a red fox in the snow", "an isometric house")):
        path = folder / "validation_images" / f"step_400_prompt{number}_0_256x256.png"
        save_picture(drawn(number), path, "png", 90, {"prompt": prompt, "global_step": "400"})
    return folder


def drawn(number: int) -> Image.Image:
    image = Image.new("RGB", (256, 256), ("#20324a", "#e8e2d0", "#31503a")[number % 3])
    ImageDraw.Draw(image).ellipse((40 + 9 * number, 40, 190, 190), fill=("#f2c14e", "#c0392b", "#a8d08d")[number % 3])
    return image


@pytest.fixture
def watching(out: Path) -> Iterator[Watching]:
    words = [sys.executable, "-m", "simpletuner", "watch", "--port", "0", "--output-dir", str(out)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32,}/", lines[0])
        told = lines[1].partition("configuration: ")[2]
        assert address, lines
        yield Watching(process, address[0], json.loads(f"{{{told}}}"))
        process.kill()


def tell(there: Watching) -> None:
    """A run at work, over its own webhook."""
    entry = there.configuration["webhook_config"]
    webhook = Webhook("raw", SecretStr(entry["webhook_url"]))
    sender = Sender(webhook, Pace(between=0.01))
    listener = WebhookListener(webhook, sender, "p", None, scrubber({}))
    listener.hear(RunStarted("emoji", Path("out"), 0, 1000, 4))
    listener.hear(StepDone(400, 4, 1000, 0.36, 1e-5, 0.42, 4, {"grad_norm": 0.5}))
    for step in (5, 10, 15, 20):
        noisy = Image.blend(Image.effect_noise((64, 64), 90).convert("RGB"), drawn(1).resize((64, 64)), step / 20)
        listener.hear(PreviewDrawn(400, "fox", "a red fox", step, 20, 1 - step / 20, 64, 64, noisy.tobytes()))
    listener.hear(Notice(f"left out {EVIL}", level="warning"))
    listener.close()


def browse(address: str, folder: Path, *words: str) -> str:
    """What headless Chromium prints for a page that is looked at for some seconds."""
    browser = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name)))
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=4000"]
    shown = subprocess.run(
        [browser, *switches, f"--user-data-dir={folder / 'profile'}", "--window-size=1280,1700", *words, address],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return shown.stdout


def test_a_run_tells_the_page_and_ctrl_c_ends_it(watching: Watching) -> None:
    tell(watching)
    shown = httpx2.get(f"{watching.address}state").json()
    assert len(shown["points"]) == 400
    assert [one["caption"] for one in shown["previews"]] == [f"{step}/20 · fox · a red fox" for step in (5, 10, 15, 20)]
    assert shown["status"]["total"] == 1000
    assert any(picture["caption"] == f"step 400 · {EVIL}" for picture in shown["pictures"])
    watching.process.send_signal(signal.SIGINT)
    rest, _ = watching.process.communicate(timeout=20)
    assert (watching.process.returncode, rest) == (0, "")


@pytest.mark.needs("chromium")
def test_a_browser_shows_it_and_runs_nothing_of_a_caption(watching: Watching, tmp_path: Path) -> None:
    tell(watching)
    page = browse(watching.address, tmp_path, "--dump-dom")
    assert "<title>simpletuner watch</title>" in page
    assert "&lt;img src=x onerror=" in page
    for told in (
        "Smoothed loss",
        "400 / 1,000",
        "linear_reference",
        "emoji: running",
        "loss/linear_reference (and smoothed): 0.31",
        "loss/val/eval: ",
        "loss/val/eval/base: 0.7",
        "loss/bin/0 (and smoothed): ",
        "loss/explained (and smoothed): ",
        "20/20 · fox",
        "left out &lt;img",
    ):
        assert told in page, told
    assert "chart/" not in page
    shot = tmp_path / "page.png"
    browse(watching.address, tmp_path, f"--screenshot={shot}")
    with Image.open(shot) as image:
        # The red of the fox is drawn: pictures were loaded, which the page's own rules could have kept out.
        reds = sum(
            count for count, (r, g, b) in image.convert("RGB").getcolors(1 << 24) if r > 180 and g < 80 and b < 70
        )
    assert reds > 5000
    if kept := os.environ.get("KEEP_SCREENSHOT"):
        shutil.copy(shot, kept)


@pytest.mark.needs("chromium")
def test_words_of_the_wide_chart_keep_their_size_on_a_narrow_screen(watching: Watching, tmp_path: Path) -> None:
    tell(watching)
    widths = []
    for window in ("500,1400", "1280,1700"):
        page = browse(watching.address, tmp_path, f"--window-size={window}", "--dump-dom")
        widths.append(int(page.partition('viewBox="0 0 ')[2].partition(" ")[0]))
    assert 400 < widths[0] < 500
    assert 1100 < widths[1] <= 1180


def test_pictures_that_are_damaged_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"half")
    assert picture_facts(tmp_path / "a.png") == {}


def test_a_folder_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["watch", "--output-dir", str(tmp_path / "nowhere")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert run(["watch", "--port", "70000"]) == 2


def test_a_rendered_event_reaches_the_page_without_a_folder_too(watching: Watching, tmp_path: Path) -> None:
    drawn(1).save(tmp_path / "a.png")
    webhook = Webhook("raw", SecretStr(watching.configuration["webhook_config"]["webhook_url"]))
    listener = WebhookListener(webhook, Sender(webhook, Pace(between=0.01)), "p", None, scrubber({}))
    listener.hear(ImagesRendered(7, "validation", (Picture(tmp_path / "a.png", "fox", "a fox", 256, 256),)))
    listener.close()
    assert httpx2.get(f"{watching.address}picture/received-1-0.png").content == (tmp_path / "a.png").read_bytes()
