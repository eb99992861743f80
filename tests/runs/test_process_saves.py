"""Saves, signals and evaluations of several processes: what goes wrong in one ends all of them, and is told once."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from simpletuner.core.checkpoints import BEST, list_checkpoints, problem_with
from tests.runs.company import Company, Failure, company
from tests.runs.conftest import DATASETS, EXAMPLE, Train, metrics
from tests.runs.data_words import entries, folder

pytestmark = pytest.mark.two_ranks

OUTPUT = Path("output")
FULL = "disk_low_threshold=9000T"
PARTS = ("fsdp_enable=true", "num_processes=2")
NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory.")


@pytest.fixture(autouse=True)
def here(train: Train) -> None:
    """Five pictures."""


def present() -> list[str]:
    return [checkpoint.path.name for checkpoint in list_checkpoints(OUTPUT)]


def ended(count: int, codes: list[int], *words: str, fails: Failure | None = None) -> str:
    """What all processes of a run say, which ends in all of them and is told once."""
    with company(count, "train_batch_size=1", *words, fails=fails) as made:
        assert made.wait(90) == codes, [made.said(rank) for rank in range(count)]
    said = "".join(made.said(rank) for rank in range(count))
    assert "Traceback" not in said
    assert said.count("error: ") == 1, said
    assert not list(OUTPUT.glob(".checkpoint-*"))
    return said


@pytest.mark.parametrize("how", [(), pytest.param(PARTS, marks=pytest.mark.long, id="parts")])
def test_a_save_that_the_disk_refuses_ends_all_of_them(how: tuple[str, ...]) -> None:
    said = ended(2, [3, 3], FULL, *how)
    assert "disk_low_threshold: the disk is low" in said
    assert present() == []
    assert len(metrics(OUTPUT)) == 2


@pytest.mark.long
def test_a_rolling_checkpoint_of_the_last_step_becomes_the_ordinary_one() -> None:
    words = ("max_train_steps=3", "checkpoint_step_interval=", "checkpointing_rolling_steps=1")
    with company(2, "train_batch_size=1", *words, "checkpoints_rolling_total_limit=1") as made:
        assert made.wait() == [0, 0], made.said(0) + made.said(1)
    assert present() == ["checkpoint-2-rolling", "checkpoint-3"]
    assert problem_with(OUTPUT / "checkpoint-3") is None


@pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_rolling_checkpoint_becomes_the_ordinary_one_where_one_of_them_fails(rank: int) -> None:
    rolling = ("checkpoint_step_interval=", "checkpointing_rolling_steps=1")
    said = ended(2, [3, 3], *rolling, fails=Failure(rank, 4))
    assert "error: frog.png: this picture went bad" in said
    assert present() == ["checkpoint-2-rolling", "checkpoint-3"]


def held_out() -> Sequence[str]:
    """Two pictures held out; the options that evaluate them."""
    Path("held").mkdir()
    for name in ("octopus", "penguin"):
        shutil.copy(EXAMPLE / "images" / f"{name}.png", "held")
    entry = {"id": "held", "dataset_type": "eval", "instance_data_dir": "held", "cache_dir_vae": "cache/held"}
    Path("config/multidatabackend.json").write_text(json.dumps([*DATASETS, DATASETS[0] | entry]))
    return ("eval_steps_interval=1", "eval_timesteps=2", "max_train_steps=3", "checkpoint_step_interval=100")


@pytest.mark.long
def test_the_best_weights_that_the_disk_refuses_end_all_of_them() -> None:
    said = ended(2, [3, 3], FULL, *held_out())
    assert "disk_low_threshold: the disk is low" in said
    assert "could not be saved" not in said, "the same is not told twice"
    assert not (OUTPUT / BEST).exists()


@pytest.mark.long
@pytest.mark.parametrize("how", [(), pytest.param(PARTS, id="parts")])
def test_an_evaluation_without_memory_in_one_ends_all_of_them(how: tuple[str, ...]) -> None:
    words = (*held_out(), "eval_steps_interval=2", "checkpoint_best=false", *how)
    with company(2, "train_batch_size=1", *words) as made:
        assert made.wait() == [0, 0], made.said(0) + made.said(1)
    # The base model was measured then. The batches of an evaluation count as those of step 1.
    said = ended(2, [4, 4], *words, "max_train_steps=9", fails=Failure(1, 1, NO_MEMORY, computing=True))
    assert (
        "error: evaluating step 4 (held): no memory for a picture at 1 of 2 noise levels: CUDA out of memory." in said
    )
    # Parts cannot be put together any more.
    assert present()[-1] == ("checkpoint-3" if how else "checkpoint-4")


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.long)])
def test_what_ended_the_run_is_told_where_the_disk_refuses_the_save_after_it(rank: int) -> None:
    said = ended(2, [3, 3], FULL, "checkpoint_step_interval=100", fails=Failure(rank, 2))
    assert "error: frog.png: this picture went bad" in said
    assert present() == []


@dataclass(frozen=True)
class Phase:
    """When two processes are in it, the options that make it so, what is said at the end, and what is there then."""

    here: Callable[[Company], bool]
    ended: str
    saved: Callable[[], list[str]]
    options: Sequence[str] = ()
    pictures: int = 5


def steps() -> int:
    return len(metrics(OUTPUT)) if (OUTPUT / "metrics.jsonl").exists() else 0


def last_step() -> list[str]:
    return [f"checkpoint-{steps()}"]


MANY = {f"{number:03}.png": (64, 64) for number in range(24)}
DRAWN = (
    "validation_disable=false",
    "validation_prompt=a frog",
    "validation_resolution=64",
    "validation_step_interval=2",
    "disable_benchmark=true",
)
PHASES = {
    "caching": Phase(
        lambda made: len(entries()) > 5,
        "stopped before training; what is cached is kept",
        list,
        ("vae_batch_size=1", "max_train_steps=500"),
        pictures=24,
    ),
    "training": Phase(
        lambda made: steps() >= 2, "stopped after step", last_step, ("max_train_steps=500", "checkpoint_step_interval=")
    ),
    "validation": Phase(
        lambda made: steps() >= 2,
        "stopped after step",
        last_step,
        ("max_train_steps=500", "checkpoint_step_interval=", *DRAWN),
    ),
    "saving": Phase(
        lambda made: any(OUTPUT.glob(".checkpoint-*")),
        "stopped after step",
        last_step,
        ("max_train_steps=500", "checkpoint_step_interval=2", "checkpoints_total_limit=1"),
    ),
}
MATRIX = [
    pytest.param(name, whom, marks=() if (name, whom) == ("saving", "one") else pytest.mark.long, id=f"{name}-{whom}")
    for name in PHASES
    for whom in ("one", "all")
    # That is in test_processes.py.
    if (name, whom) != ("training", "one")
]


@pytest.mark.parametrize(("name", "whom"), MATRIX)
def test_a_signal_ends_all_of_them_in_every_phase(name: str, whom: str) -> None:
    phase = PHASES[name]
    if phase.pictures > len(list(Path("pictures").iterdir())):
        folder("pictures", MANY)
    # The second one only waits for pictures, and they are finished.
    drawn = f"validation_num_inference_steps={30 if whom == 'one' else 300}"
    with company(2, "train_batch_size=1", drawn, *phase.options) as made:
        made.until(lambda: phase.here(made))
        for process in made.processes[1:] if whom == "one" else made.processes:
            os.kill(process.pid or 0, signal.SIGTERM)
        assert made.wait(90) == [143, 143], made.said(0) + made.said(1)
    said = made.said(0) + made.said(1)
    assert said.count(phase.ended) == 1, said
    assert "Traceback" not in said
    assert "error: " not in said
    assert not list(OUTPUT.glob(".checkpoint-*"))
    assert present()[-1:] == phase.saved()
    assert [problem_with(found.path) for found in list_checkpoints(OUTPUT)] == [None] * len(present())
    done = steps()
    with company(2, "train_batch_size=1", f"max_train_steps={done + 1}") as again:
        assert again.wait() == [0, 0], again.said(0)
    assert [record["step"] for record in metrics(OUTPUT)] == list(range(1, done + 2))


@pytest.mark.parametrize("whom", ["all", pytest.param("one", marks=pytest.mark.long)])
def test_a_signal_ends_an_evaluation_in_the_middle_of_it(whom: str) -> None:
    held = DATASETS[0] | {"id": "held", "dataset_type": "eval", "cache_dir_vae": "cache/held"}
    held["instance_data_dir"] = str(shutil.copytree("pictures", "held"))
    Path("config/multidatabackend.json").write_text(json.dumps([DATASETS[0], held]))
    words = ("train_batch_size=1", "checkpoint_step_interval=", "eval_steps_interval=2", "eval_timesteps=20")
    with company(2, "max_train_steps=500", *words) as made:
        made.until(lambda: steps_done() == [1, 2])
        for process in made.processes[1:] if whom == "one" else made.processes:
            os.kill(process.pid or 0, signal.SIGTERM)
        assert made.wait(90) == [143, 143], made.said(0) + made.said(1)
    said = made.said(0) + made.said(1)
    assert said.count("stopped after step 2; checkpoint-2 is saved") == 1, said
    assert "Traceback" not in said
    assert present() == ["checkpoint-2"]
    assert "loss/val/held" not in metrics(OUTPUT)[-1]


def steps_done() -> list[object]:
    file = OUTPUT / "metrics.jsonl"
    return [record["step"] for record in metrics(OUTPUT) if "train_loss" in record] if file.exists() else []
