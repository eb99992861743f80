from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.events import Evaluated, Notice, RunStarted, StepDone
from simpletuner.observe.metrics_file import MetricsFile, record_at


def step(number: int, loss: float = 0.5, **metrics: float) -> StepDone:
    return StepDone(number, 1, 100, loss, 1e-4, 0.1, 1, metrics)


def records(path: Path) -> list[dict[str, Any]]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def run(path: Path, first_step: int, last_step: int) -> None:
    listener = MetricsFile(path, first_step)
    for number in range(first_step + 1, last_step + 1):
        listener.hear(step(number, loss=first_step + number / 1000))
    listener.close()


def started(path: Path, first_step: int) -> None:
    listener = MetricsFile(path, first_step)
    listener.hear(RunStarted("run", path.parent, first_step, 100, 1))
    listener.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "metrics.jsonl"


def test_a_record_holds_what_readers_rely_on_and_is_there_at_once(path: Path) -> None:
    listener = MetricsFile(path, 0)
    listener.hear(Notice("nothing for this file"))
    listener.hear(StepDone(1, 2, 100, 0.5, 1e-4, 0.25, 4, {"grad_norm": 1.5}))
    told = {"step": 1, "epoch": 2, "train_loss": 0.5, "learning_rate": 1e-4, "step_seconds": 0.25, "grad_norm": 1.5}
    assert records(path) == [told]
    listener.close()


def test_numbers_that_are_none_are_null(path: Path) -> None:
    listener = MetricsFile(path, 0)
    listener.hear(step(1, math.nan, grad_norm=math.inf))
    listener.close()
    assert records(path)[0]["train_loss"] is None
    assert records(path)[0]["grad_norm"] is None


def test_an_evaluation_joins_the_record_of_its_step(path: Path) -> None:
    listener = MetricsFile(path, 0)
    listener.hear(Evaluated(0, 0, {"clip/mean": 0.3}))
    listener.hear(step(1))
    listener.hear(Evaluated(1, 1, {"loss/val/a": 0.6}))
    listener.hear(Evaluated(1, 1, {"loss/val/a": 0.7, "clip/mean": 0.2}))
    listener.hear(step(2))
    listener.close()
    assert [record["step"] for record in records(path)] == [0, 1, 2]
    assert records(path)[0] == {"step": 0, "epoch": 0, "clip/mean": 0.3}
    assert records(path)[1]["train_loss"] == 0.5
    assert (records(path)[1]["loss/val/a"], records(path)[1]["clip/mean"]) == (0.7, 0.2)


@given(st.integers(1, 30), st.data())
def test_each_step_appears_once_after_any_resume(
    tmp_path_factory: pytest.TempPathFactory, reached: int, data: Any
) -> None:
    path = tmp_path_factory.mktemp("run") / "metrics.jsonl"
    resumed = data.draw(st.integers(1, reached))
    run(path, 0, reached)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - data.draw(st.integers(0, 5))])
    run(path, resumed, 32)
    steps = [record["step"] for record in records(path)]
    assert len(set(steps)) == len(steps)
    torn = {reached} if resumed == reached else set()
    assert set(range(1, 33)) - set(steps) <= torn
    assert all(record["train_loss"] >= resumed for record in records(path) if record["step"] > resumed)


def test_the_first_record_after_a_resume_says_so(path: Path) -> None:
    run(path, 0, 5)
    listener = MetricsFile(path, 3)
    listener.hear(StepDone(4, 1, 100, 0.5, 1e-4, 0.1, 1, {}, "checkpoint-3"))
    listener.hear(step(5))
    listener.close()
    assert [record.get("resumed_from") for record in records(path)] == [None, None, None, "checkpoint-3", None]


def test_an_evaluation_before_the_first_step_after_a_resume_joins_the_old_record(path: Path) -> None:
    run(path, 0, 5)
    listener = MetricsFile(path, 3)
    listener.hear(Evaluated(3, 1, {"clip/mean": 0.3}))
    listener.close()
    assert [record["step"] for record in records(path)] == [1, 2, 3]
    assert records(path)[2]["clip/mean"] == 0.3
    assert "train_loss" in records(path)[2]


def test_a_file_with_nothing_to_cut_is_not_rewritten(path: Path) -> None:
    run(path, 0, 5)
    before = path.stat().st_ino
    started(path, 5)
    assert path.stat().st_ino == before
    started(path, 4)
    assert len(records(path)) == 4


def test_a_fresh_run_starts_an_empty_file(path: Path) -> None:
    listener = MetricsFile(path, 0)
    listener.hear(Evaluated(0, 0, {"clip/mean": 0.3}))
    listener.close()
    started(path, 0)
    assert path.read_bytes() == b""


def test_a_run_that_is_refused_before_it_starts_cuts_nothing(path: Path) -> None:
    run(path, 0, 5)
    listener = MetricsFile(path, 2)
    listener.hear(Notice("reading the pictures"))
    listener.close()
    assert [record["step"] for record in records(path)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("rubbish", [b'{"step": 3, "tr', b"\xff\xfe\n", b"[1]\n", b'{"step": "x"}\n', b"\n"])
def test_a_line_that_is_no_record_is_repaired(path: Path, rubbish: bytes) -> None:
    run(path, 0, 2)
    path.write_bytes(path.read_bytes() + rubbish)
    run(path, 2, 3)
    assert [record["step"] for record in records(path)] == [1, 2, 3]


def test_the_record_of_a_step_is_found(path: Path) -> None:
    assert record_at(path, 1) == {}
    run(path, 0, 3)
    assert record_at(path, 2) == records(path)[1]
    assert record_at(path, 4) == {}
    path.write_bytes(path.read_bytes() + b'{"step": 4, "train_lo')
    assert record_at(path, 4) == {}
