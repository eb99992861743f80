from __future__ import annotations

import os
from pathlib import Path

import pytest

from simpletuner.assemble.training.next_start import first_epoch, next_checkpoint
from simpletuner.cli.select import select_run
from simpletuner.config.load import LoadedRun
from tests.runs.conftest import lay_out
from tests.runs.data_words import command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 5 pictures, two to an update, with checkpoints after 2, 3 and 4 of 4 updates."""
    folder = lay_out(tmp_path_factory.mktemp("run"))
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert command("train", checkpoint_step_interval=1, use_ema=False) == 0
    finally:
        os.chdir(before)
    return folder


def loaded(folder: Path, **options: object) -> LoadedRun:
    return select_run([f"{key}={value}" for key, value in options.items()], folder, os.environ)[0]


@pytest.mark.parametrize(
    ("asked", "options", "name", "epoch"),
    [
        ("latest", {"max_train_steps": 9}, "checkpoint-4", 1),
        ("checkpoint-3", {"max_train_steps": 9}, "checkpoint-3", 1),
        ("checkpoint-3", {"max_train_steps": 3}, "checkpoint-3", 0),
        ("checkpoint-3", {"max_train_steps": 0, "num_train_epochs": 1}, "checkpoint-3", 0),
        ("checkpoint-3", {"max_train_steps": 0, "num_train_epochs": 2}, "checkpoint-3", 1),
        ("checkpoint-2", {"max_train_steps": 9}, "checkpoint-2", 0),
        ("output/checkpoint-2", {"max_train_steps": 9}, "checkpoint-2", 0),
        ("", {}, None, 0),
    ],
)
def test_where_the_next_start_begins(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    options: dict[str, int],
    name: str | None,
    epoch: int,
) -> None:
    monkeypatch.chdir(folder)
    run = loaded(folder, resume_from_checkpoint=asked, **options)
    found = next_checkpoint(run)
    assert (found.path.name if found else None) == name
    assert first_epoch(run.config.length, found) == epoch


def test_a_damaged_checkpoint_is_not_gone_on_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "output/checkpoint-4/manifest.json").write_text("{")
    found = next_checkpoint(loaded(folder))
    assert found is not None
    assert found.step == 3
    assert next_checkpoint(loaded(folder, resume_from_checkpoint="checkpoint-4")) is None
