"""A training is done once, and again when something else is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.runs import ADAPTER, Run

OPTIONS = {
    "max_train_steps": 1,
    "train_batch_size": 1,
    "validation_disable": True,
    "report_to": "none",
    "use_ema": False,
}


@pytest.mark.long
def test_a_run_is_done_once(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", OPTIONS)
    assert not run.is_done
    assert run.finish() is run
    assert run.is_done
    (record,) = run.records()
    assert record["step"] == 1
    assert record["train_loss"] > 0
    told = (run.folder / "output.txt").read_bytes()
    Run(tmp_path / "run", dict(OPTIONS)).finish()
    assert (run.folder / "output.txt").read_bytes() == told
    other = Run(tmp_path / "run", {**OPTIONS, "seed": 43}).finish()
    assert other.records()[0]["train_loss"] != record["train_loss"]


def left(folder: Path, options: dict[str, object], *, finished: bool) -> Run:
    """A folder as a run leaves it."""
    run = Run(folder, options)
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"asked": run._words(), "finished": finished}))
    (folder / ADAPTER).write_bytes(b"")
    return run


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    run = left(tmp_path / "run", {"seed": 1}, finished=True)
    assert run.finish() is run
    assert {path.name for path in run.folder.iterdir()} == {"run.json", ADAPTER}


@pytest.mark.parametrize(("seed", "kept"), [(1, True), (2, False)])
def test_an_interrupted_run_goes_on_and_another_starts_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, *, kept: bool
) -> None:
    left(tmp_path / "run", {"seed": 1}, finished=False)
    monkeypatch.setattr("benchmarks.runs.sys.executable", str(tmp_path / "no-python"))
    run = Run(tmp_path / "run", {"seed": seed})
    with pytest.raises(FileNotFoundError):
        run.finish()
    assert (tmp_path / "run" / ADAPTER).exists() is kept
    assert not run.is_done
    assert f"seed={seed}" in json.loads((tmp_path / "run" / "run.json").read_text())["asked"]


def test_only_steps_count_as_records(tmp_path: Path) -> None:
    lines = [{"step": 1, "train_loss": 0.5}, {"event": "validation"}, {"step": 2, "train_loss": 0.4}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [record["step"] for record in Run(tmp_path, {}).records()] == [1, 2]
