"""Trackers on a whole run: whatever they and the receivers do, the weights are the same and no step waits."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from simpletuner.core.events import Event, StepDone
from simpletuner.observe import build
from simpletuner.observe.fan_out import FanOut
from simpletuner.observe.trackers.process import TrackerProcess
from tests.observe.trackers.conftest import OFFLINE, require_package
from tests.runs.conftest import Train, metrics

ADAPTER = "pytorch_lora_weights.safetensors"
SECRET = "canary-9a8b7c6d5e4f"
# One may meet a machine that is busy with something else.
_ALLOWED = 1


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each step waited for everybody who listens, in seconds."""
    took: list[float] = []
    listen = FanOut.__call__

    def timed(self: FanOut, event: Event) -> None:
        began = time.perf_counter()
        listen(self, event)
        if isinstance(event, StepDone):
            took.append(time.perf_counter() - began)

    monkeypatch.setattr(FanOut, "__call__", timed)
    return took


@pytest.fixture
def troubles() -> Iterator[list[int]]:
    """Ports of receivers that answer 500, 429 with a long wait, never, and that are not there."""
    over = threading.Event()

    def answering(status: int) -> ThreadingHTTPServer:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                if not status:
                    over.wait(60)
                    return
                self.send_response(status)
                self.send_header("Retry-After", "600")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Keep quiet."""

        return ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    servers = [answering(status) for status in (500, 429, 0)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield [*(int(server.server_address[1]) for server in servers), 1]
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which this process and its children find their packages first."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""))))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


def hooks(ports: list[int]) -> str:
    Path("config/hooks.json").write_text(
        json.dumps([{"webhook_type": "raw", "webhook_url": f"http://127.0.0.1:{port}/{SECRET}"} for port in ports])
    )
    return "hooks.json"


def weights(folder: str) -> str:
    return hashlib.sha256((Path(folder) / ADAPTER).read_bytes()).hexdigest()


def no_step_waited(took: list[float], steps: int) -> None:
    assert len(took) == steps
    assert sorted(took)[-1 - _ALLOWED] < 0.05, took


def test_with_all_receivers_and_a_tracker_in_trouble_nothing_changes(
    train: Train, told: list[float], troubles: list[int], packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(output_dir="alone") == 0
    told.clear()
    (packages / "wandb.py").write_text("raise RuntimeError('broken library')\n")
    monkeypatch.setenv("WANDB_API_KEY", f"key-{SECRET}")
    report_to = "tensorboard,wandb,simpletuner"
    assert train(output_dir="told", webhook_config=hooks(troubles), report_to=report_to) == 0
    assert weights("told") == weights("alone")
    no_step_waited(told, 4)
    assert [record["step"] for record in metrics(Path("told"))] == [1, 2, 3, 4]
    assert "completed at step 4" in Path("told/training_report.html").read_text("utf-8")
    for path in (found for found in Path("told").rglob("*") if found.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.long
def test_a_tracker_that_hangs_changes_nothing(
    train: Train,
    told: list[float],
    packages: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert train(output_dir="alone") == 0
    told.clear()
    (packages / "wandb.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setenv("WANDB_API_KEY", "key")
    # Less patience at the end than a user's run has.
    monkeypatch.setattr(build, "TrackerProcess", partial(TrackerProcess, at_end=2.0))
    assert train(output_dir="told", report_to="wandb") == 0
    assert weights("told") == weights("alone")
    no_step_waited(told, 4)
    assert "wandb did not finish within 2 s and was ended" in caplog.text


@pytest.mark.long
def test_a_trackers_server_that_is_down_changes_nothing(
    train: Train,
    told: list[float],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    require_package("wandb")
    assert train(output_dir="alone") == 0
    told.clear()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    assert train(output_dir="told", report_to="wandb") == 0
    assert weights("told") == weights("alone")
    no_step_waited(told, 4)
    assert "wandb: not reached" in caplog.text
    # It is kept, to be sent when the server is there again.
    assert "`wandb sync` sends them" in caplog.text
    (kept,) = Path("told/logs/wandb").rglob("offline-run-*/run-*.wandb")
    assert b"train_loss" in kept.read_bytes()


@pytest.mark.long
def test_trackers_are_told_no_secret_and_a_resumed_run_goes_on_in_its_chart(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require_package("wandb")
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, f"{name}-{SECRET}")
    told = {"output_dir": "told", "report_to": "all", "webhook_config": hooks([1])}
    assert train(**told, max_train_steps=2) == 0
    assert train(**told, max_train_steps=4) == 0
    first, second = sorted(Path("told/logs/wandb").rglob("run-*.wandb"))
    assert first.name == second.name
    assert b"train_loss" in first.read_bytes()
    for path in (found for found in Path("told").rglob("*") if found.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path


def test_a_tracker_that_is_not_there_is_told_before_anything_happens(
    train: Train, packages: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    (packages / "wandb.py").write_text("raise RuntimeError('nobody imports it here')\n")
    began = time.monotonic()
    assert train(report_to="wandb") == 2
    assert time.monotonic() - began < 2
    told = capsys.readouterr().err
    assert "'wandb' is not logged in" in told
    assert "WANDB_MODE=offline" in told
    assert not Path("output").exists()
