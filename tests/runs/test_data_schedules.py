"""Data sets that come too late for the run: told by name with what would cure it, and counted nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.runs.conftest import Train, metrics
from tests.runs.data_words import command, dataloader, dataset, folder

SQUARES = {f"square{place}.png": (64, 64) for place in range(4)}


def two(**late: object) -> None:
    """Two data sets of four pictures, two to an update; when the second is used, ``late`` says."""
    for name in ("first", "late"):
        folder(name, SQUARES)
    dataloader(
        dataset(id="first", instance_data_dir="first"),
        dataset(id="late", instance_data_dir="late", cache_dir_vae="cache/late", **late),
    )


def written() -> dict[str, Any]:
    """``report.json``."""
    found: dict[str, Any] = json.loads(Path("output/report.json").read_text())
    return found


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """What was on the screen, on one line."""
    heard = capsys.readouterr()
    return " ".join((heard.out + heard.err).split())


LATE = [
    ({"start_step": 4}, {}, "start_step 4: it begins at step 5, the run ends at step 4", "set start_step to 3"),
    (
        {"start_step": 100},
        {"num_train_epochs": 2, "max_train_steps": 0},
        "start_step 100: it begins at step 101, the run ends at step 4",
        "set num_train_epochs to 51 or more",
    ),
    (
        {"start_epoch": 50},
        {},
        "start_epoch 50: the run ends at step 4, in epoch 2 (the first has 2 steps)",
        "set start_epoch to 2",
    ),
]


@pytest.mark.parametrize(("keys", "options", "why", "cure"), LATE)
def test_one_that_is_never_trained_is_a_problem(
    train: Train,
    capsys: pytest.CaptureFixture[str],
    keys: dict[str, int],
    options: dict[str, int],
    why: str,
    cure: str,
) -> None:
    two(**keys)
    for name in ("check", "train"):
        assert command(name, **options) == 0
        heard = told(capsys)
        for words in ('data set "late" is never trained in this run', why, cure):
            assert words in heard
        found = written()
        (problem,) = [text for text in found["problems"] if "never trained" in text]
        assert problem.startswith('data set "late" is never trained in this run\n')
        assert why in problem
        first, late = found["datasets"]
        assert (first["batches"], late["used"], late["batches"], late["updates"]) == (2, 4, 0, {})
        if name == "check":
            assert (found["epoch"]["updates"], found["epoch"]["pictures"], found["run"]["steps"]) == (2, 4, 4)
    assert len(metrics(Path("output"))) == 4


def test_the_smallest_cures_train_it(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    two(start_step=3)
    assert command("check") == 0
    assert "never trained" not in told(capsys)
    assert [entry["batches"] for entry in written()["datasets"]] == [2, 2]
    two(start_step=4)
    assert command("check", max_train_steps=6) == 0
    assert "never trained" not in told(capsys)


def test_what_was_trained_before_a_resume_is_no_problem(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    two(start_step=2, end_step=4)
    assert train(max_train_steps=5) == 0
    assert train(max_train_steps=6) == 0
    assert "never trained" not in told(capsys)
    assert written()["problems"] == []


def test_a_run_that_goes_on_says_it_again(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    two(start_step=9)
    assert train(max_train_steps=4) == 0
    told(capsys)
    assert train(max_train_steps=6) == 0
    assert "start_step 9: it begins at step 10, the run ends at step 6" in told(capsys)
    assert [entry["batches"] for entry in written()["datasets"]] == [2, 0]


@pytest.mark.parametrize(("name", "code"), [("check", 2), ("train", 3)])
def test_a_run_in_which_none_is_trained_is_an_error(
    train: Train, capsys: pytest.CaptureFixture[str], name: str, code: int
) -> None:
    two(start_epoch=2)
    for picture in Path("first").iterdir():
        picture.unlink()
    assert command(name) == code, "the one that would begin has no picture"
    heard = told(capsys)
    assert "no images detected in dataset" in heard
    assert "this run can train" not in heard
