"""Weights & Biases itself, offline, in its process; what it wrote is read as bytes."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from tests.observe.trackers.conftest import Tell, require_package


def written(folder: Path) -> bytes:
    (found,) = folder.rglob("run-*.wandb")
    return found.read_bytes()


def test_numbers_curves_and_pictures_are_kept(tell: Tell, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    require_package("wandb")
    with caplog.at_level(logging.WARNING):
        tell("wandb")
    assert caplog.text == ""
    content = written(tmp_path / "wandb")
    for expected in (b"my-project", b"my run", b"ab" * 16, b"train_loss", b"0.515625", b"grad_norm", b"rank"):
        assert expected in content, expected
    assert b"nothing" not in content
    assert list(tmp_path.rglob("media/images/cat - 64x48_2_*.png"))
    (table,) = tmp_path.rglob("chart/loss/val/held_table*.json")
    assert json.loads(table.read_text())["columns"] == ["timestep", "eval_loss"]
    assert json.loads(table.read_text())["data"] == [[125, 1.25], [500, 0.75]]


def test_pictures_in_one_table(tell: Tell, tmp_path: Path) -> None:
    require_package("wandb")
    tell("wandb", layout="table")
    (table,) = tmp_path.rglob("Validation Gallery*.json")
    ((step, name, prompt, size, _),) = json.loads(table.read_text())["data"]
    assert (step, name, prompt, size) == (2, "cat", "a cat", "64x48")
    # The picture itself is in the artifact that a table with pictures is sent as.
    assert re.search(rb"media/images/\w+/cat\.png", written(tmp_path / "wandb"))
