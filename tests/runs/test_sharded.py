"""Weights in parts (FSDP2): the same losses as one process has, and checkpoints that any number goes on from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simpletuner.core.files import sha256
from tests.runs.company import company
from tests.runs.conftest import Train, metrics

pytestmark = pytest.mark.two_ranks

KINDS = {
    "lokr": [],
    "lora": ["lora_type=standard", "lora_rank=4"],
    "full": ["model_type=full", "learning_rate=1e-4"],
}


@pytest.fixture(autouse=True)
def here(train: Train) -> None:
    """Five pictures: updates of two, and one of one, in which a process has nothing of its own."""


def losses(output: str) -> list[float]:
    return [float(str(record["train_loss"])) for record in metrics(Path(output))]


def sharded(steps: int, *words: str) -> str:
    """What the first of two processes says that hold a model together."""
    how = ("train_batch_size=1", f"max_train_steps={steps}", "fsdp_enable=true", "num_processes=2")
    with company(2, *how, *words) as made:
        assert made.wait() == [0, 0], made.said(0) + made.said(1)
    return made.said(0)


@pytest.mark.parametrize("kind", [pytest.param("lora", marks=pytest.mark.long), "lokr", "full"])
def test_losses_are_those_of_one_process_and_one_goes_on(train: Train, kind: str) -> None:
    assert train(*KINDS[kind], max_train_steps=4, output_dir="alone") == 0
    said = sharded(3, *KINDS[kind])
    found = re.search(r"holds ([\d.]+) MB of weights instead of ([\d.]+)", said)
    assert found is not None
    assert 0.49 < float(found[1]) / float(found[2]) < 0.53
    assert losses("output") == pytest.approx(losses("alone")[:3], rel=1e-5)
    assert [record["grad_absmax"] for record in metrics(Path("output"))] == pytest.approx(
        [record["grad_absmax"] for record in metrics(Path("alone"))][:3], rel=1e-3
    )
    assert train(*KINDS[kind], max_train_steps=4) == 0
    assert losses("output") == pytest.approx(losses("alone"), rel=1e-4)
    assert metrics(Path("output"))[3]["resumed_from"] == "checkpoint-3"


@pytest.mark.long
@pytest.mark.parametrize("how", ["gradient_checkpointing=false", "gradient_checkpointing_interval=3"])
def test_how_blocks_run_changes_nothing(how: str) -> None:
    sharded(3, *KINDS["full"], "output_dir=usual")
    sharded(3, *KINDS["full"], how, "fsdp_reshard_after_forward=false", "output_dir=other")
    assert losses("other") == pytest.approx(losses("usual"), rel=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["lokr", "full"])
def test_a_resumed_run_equals_the_unbroken_one_to_the_bit(kind: str) -> None:
    sharded(4, *KINDS[kind], "output_dir=unbroken", "optimizer=torch-adamw")
    sharded(2, *KINDS[kind], "optimizer=torch-adamw")
    sharded(4, *KINDS[kind], "optimizer=torch-adamw")
    for path in Path("unbroken/checkpoint-4").rglob("*.safetensors"):
        assert sha256(path) == sha256(Path("output/checkpoint-4") / path.relative_to("unbroken/checkpoint-4"))


@pytest.mark.long
def test_all_draw_what_one_draws(train: Train) -> None:
    draw = (
        "validation_disable=false validation_prompt=frog validation_resolution=64 validation_num_inference_steps=2 "
        "validation_step_interval=2 ema_validation=comparison fsdp_reshard_after_forward=false"
    ).split()
    sharded(3, *KINDS["full"], *draw)
    assert train(*KINDS["full"], *draw, max_train_steps=3, output_dir="alone") == 0
    names = {path.name for path in Path("alone/validation_images").iterdir()}
    assert names == {path.name for path in Path("output/validation_images").iterdir()}
    assert names


@pytest.mark.long
@pytest.mark.parametrize("kind", ["lokr", "full"])
def test_a_save_that_the_disk_refuses_ends_those_that_hand_out_their_parts(kind: str) -> None:
    how = ("train_batch_size=1", "fsdp_enable=true", "num_processes=2", "disk_low_threshold=9000T")
    with company(2, *how, *KINDS[kind]) as made:
        assert made.wait(90) == [3, 3], made.said(0) + made.said(1)
    said = made.said(0) + made.said(1)
    assert said.count("error: ") == said.count("disk_low_threshold: ") == 1, said
    assert "Traceback" not in said
