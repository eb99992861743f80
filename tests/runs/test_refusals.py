"""What must not happen in silence: another run's checkpoint, a damaged one, a fresh start over an old run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simpletuner.core.checkpoints import list_checkpoints, problem_with
from tests.runs.conftest import Train, metrics


def test_another_adapter_is_refused_with_the_difference(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(max_train_steps=2) == 0
    file = tmp_path / "config" / "lycoris_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"factor": 4}))
    assert train(max_train_steps=4) == 3
    told = capsys.readouterr().err
    assert "different run" in told
    assert "lycoris_config" in told
    assert "--fresh" in told


def test_a_damaged_checkpoint_is_skipped_and_said_and_all_damaged_ends(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(max_train_steps=4) == 0
    weights = "pytorch_lora_weights.safetensors"
    (tmp_path / "output" / "checkpoint-4" / weights).write_bytes(b"")
    assert train(max_train_steps=5) == 0
    assert "skipped checkpoint-4" in capsys.readouterr().out
    assert [record["step"] for record in metrics(tmp_path / "output")] == [1, 2, 3, 4, 5]
    for path in (tmp_path / "output").glob("checkpoint-*"):
        (path / weights).unlink()
    assert train(max_train_steps=6) == 3
    assert "checkpoints can be read whole" in capsys.readouterr().err


def test_pictures_that_changed_since_the_checkpoint_are_told_and_the_run_goes_on(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(max_train_steps=2) == 0
    for name in ("frog", "pizza", "rocket"):
        (tmp_path / "pictures" / f"{name}.png").unlink()
    assert train(max_train_steps=5) == 0
    assert "the pictures changed since checkpoint-2" in capsys.readouterr().out
    assert [(record["step"], record["epoch"]) for record in metrics(tmp_path / "output")] == [
        (1, 1),
        (2, 1),
        (3, 2),
        (4, 3),
        (5, 4),
    ]


def test_a_stretched_schedule_is_told(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    shape = {"lr_scheduler": "cosine", "lr_end": "1e-5"}
    assert train(**shape, max_train_steps=2) == 0
    assert train(**shape, max_train_steps=3) == 0
    told = capsys.readouterr().out
    assert "going on from checkpoint-2: step 2 of 3, epoch 1" in told
    assert "planned for 2 steps: the cosine learning rate is stretched" in told


def test_a_run_that_is_finished_does_no_step_and_keeps_its_checkpoint(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(max_train_steps=2) == 0
    manifest = tmp_path / "output" / "checkpoint-2" / "manifest.json"
    written = manifest.stat().st_mtime_ns
    assert train(max_train_steps=2) == 0
    assert manifest.stat().st_mtime_ns == written
    assert len(metrics(tmp_path / "output")) == 2
    assert "nothing is left to train" in capsys.readouterr().out


def test_a_named_checkpoint_that_is_missing_is_an_error(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(max_train_steps=2) == 0
    assert train(resume_from_checkpoint="checkpoint-9") == 2
    assert "checkpoint-2" in capsys.readouterr().err


def test_a_named_checkpoint_that_is_refused_leaves_the_later_ones_and_the_metrics(train: Train, tmp_path: Path) -> None:
    assert train(max_train_steps=3, checkpoint_step_interval=1) == 0
    before = steps_told(tmp_path)
    assert train(max_train_steps=4, resume_from_checkpoint="checkpoint-2", optimizer="optimi-lion") == 3
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path / "output")] == [1, 2, 3]
    assert steps_told(tmp_path) == before
    assert train(max_train_steps=4, resume_from_checkpoint="checkpoint-2", checkpoint_step_interval=2) == 0
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path / "output")] == [1, 2, 4]
    assert [path.name for path in (tmp_path / "output" / "previous-1").iterdir()] == ["checkpoint-3"]
    assert steps_told(tmp_path) == [1, 2, 3, 4]


def steps_told(folder: Path) -> list[object]:
    return [record["step"] for record in metrics(folder / "output") if "train_loss" in record]


def test_a_launcher_that_names_two_processes_and_not_which_one_this_is(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert train() == 2
    assert "WORLD_SIZE: 2 processes, and RANK, MASTER_ADDR, MASTER_PORT are not set" in capsys.readouterr().err
    assert not (tmp_path / "output").exists()


def test_fresh_over_an_old_run_needs_a_yes(train: Train, tmp_path: Path) -> None:
    assert train(max_train_steps=2) == 0
    assert train("--fresh", max_train_steps=2) == 3
    assert (tmp_path / "output" / "checkpoint-2").is_dir()


def test_an_empty_folder_ends_with_the_data_code(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path / "pictures").iterdir():
        path.unlink()
    assert train() == 3
    assert "no images detected in dataset" in capsys.readouterr().err


def test_a_truncated_picture_is_named_and_left_out(train: Train, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "frog.png"
    path.write_bytes(path.read_bytes()[:900])
    assert train(max_train_steps=1) == 0
    report = json.loads((tmp_path / "output" / "report.json").read_text())["datasets"][0]
    assert report["used"] == 4
    assert [item["file"] for item in report["dropped"]] == ["frog.png"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends_and_the_run_goes_on(
    train: Train, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    words = ["train", "max_train_steps=500", "checkpoint_step_interval=1000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "simpletuner", *words], cwd=tmp_path, env=os.environ, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 90
    file = tmp_path / "output" / "metrics.jsonl"
    while time.monotonic() < deadline and not (file.exists() and file.read_text().count("\n") >= 2):
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code, told
    assert "finishing this step" in told
    assert "the same command goes on from there" in told
    last = metrics(tmp_path / "output")[-1]["step"]
    assert problem_with(tmp_path / "output" / f"checkpoint-{last}") is None
    assert train(max_train_steps=int(str(last)) + 1) == 0
