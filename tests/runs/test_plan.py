"""What `simpletuner plan` promises, held against the run itself."""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from simpletuner.cli.main import run
from tests.runs.conftest import Train, metrics


def planned(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["plan", "--json", *words]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def bytes_below(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def test_bytes_and_counts_are_those_of_the_run_which_it_does_not_touch(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    # What is known of a file that has only just been written is not trusted at the next start.
    time.sleep(2.1)
    told = planned(capsys)
    assert not Path("output").exists()
    assert not list(Path("cache").rglob("*.safetensors"))
    assert train() == 0
    output = Path("output")
    saved = sorted(output.glob("checkpoint-*"))
    assert told["steps"] == len(metrics(output)) == 4
    assert told["checkpoints"]["count"] == len(saved) == 2
    for checkpoint in saved:
        assert told["checkpoints"]["bytes_each"] == pytest.approx(bytes_below(checkpoint, "*"), rel=0.05)
    final = bytes_below(output, "*.safetensors") - sum(bytes_below(one, "*.safetensors") for one in saved)
    assert told["checkpoints"]["bytes_final"] == pytest.approx(final, rel=0.05)
    cached = sum(bytes_below(Path(folder), "*.safetensors") for folder in told["caching"]["bytes_by_folder"])
    assert told["caching"]["bytes"] == pytest.approx(cached, rel=0.05)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    again = planned(capsys)
    assert (again["caching"]["latents_missing"], again["caching"]["bytes"]) == (0, 0)
    assert before == {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}


@pytest.mark.long
def test_seconds_are_those_of_the_bundled_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--example", "emoji-style", "max_train_steps=6", "validation_disable=true"]
    told = planned(capsys, *words)
    assert run(["train", *words]) == 0
    real = median(float(str(record["step_seconds"])) for record in metrics(Path("output") / "emoji-style"))
    assert real / 2 < told["shapes"][0]["seconds_per_step"] < real * 2
