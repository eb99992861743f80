"""`simpletuner plan` as it is typed, on a small run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simpletuner.assemble.planning import estimate
from simpletuner.cli.main import run
from tests.assemble.conftest import dataset, write_run, write_scenes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png", "b.png", "c.png"])
    write_run(tmp_path, [dataset("cats", caption_strategy="filename")], max_train_steps=4)
    return tmp_path


def files(folder: Path) -> set[str]:
    """Every file that may not be made or changed: all but the index."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {f"{path} {(folder / path).stat().st_mtime_ns}" for path in found if path.suffix != ".sqlite"}


def test_a_run_is_measured_and_left_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(folder)
    assert run(["plan"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for part in ("s/step", "cats 64x64 2 4 2", "4 updates, 2 epochs of 2", "ends about", "save of", "latents missing"):
        assert part in told, part
    assert files(folder) == before
    assert sorted(path.name for path in folder.iterdir()) == ["cache", "cats", "config"]


def test_json_is_all_that_stands_on_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del folder
    assert run(["plan", "--json", "--largest", "train_batch_size=1"]) == 0
    heard = capsys.readouterr()
    told = json.loads(heard.out)
    assert told["steps"] == 4
    assert [shape["micro_batch"] for shape in told["shapes"]] == [1]
    assert told["checkpoints"] is None
    assert "measuring updates" in heard.err


def test_mistakes_have_the_codes_of_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "learning_rte=1"]) == 2
    assert "learning_rate" in capsys.readouterr().err
    for path in (folder / "cats").iterdir():
        path.write_bytes(b"")
    assert run(["plan"]) == 3
    assert "no images detected" in capsys.readouterr().err


def test_nothing_that_fits_is_exit_code_4(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def starved(*_given: object) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr(estimate, "build_model", starved)
    # There is nothing left that would need less memory on a CPU.
    assert run(["plan", "train_batch_size=1", "base_model_precision=int8-quanto"]) == 4
    told = " ".join(capsys.readouterr().out.split())
    assert "does not fit" in told
    assert "the model alone does not fit: no more" in told
    assert "nothing of this run fits" in told
    assert not (folder / "output").exists()


def test_help_has_every_switch(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["plan", "--help"], ["plan", "env=x", "-h"]):
        assert run(words) == 0
        told = capsys.readouterr().out
        for part in ("--alternatives", "--largest", "--json", "Exit codes"):
            assert part in told


@pytest.mark.long
def test_ctrl_c_ends_it_with_its_code(folder: Path) -> None:
    words = [sys.executable, "-m", "simpletuner", "plan", "max_train_steps=1000"]
    process = subprocess.Popen(words, cwd=folder, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if b"measuring caches" in line:
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert b"a plan leaves nothing behind" in errors
    assert not (folder / "output").exists()
