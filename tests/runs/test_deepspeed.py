"""DeepSpeed's ZeRO: the same losses as one process has, and checkpoints that any number and any engine goes on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.core.files import sha256
from tests.runs.company import Failure, company
from tests.runs.conftest import Train, metrics
from tests.runs.test_sharded import losses

pytestmark = [pytest.mark.two_ranks, pytest.mark.needs("deepspeed")]

FULL = ["model_type=full", "learning_rate=1e-4", "optimizer=torch-adamw"]


@pytest.fixture(autouse=True)
def here(train: Train) -> None:
    """Five pictures: updates of two, and one of one, in which a process has nothing of its own."""


def zero(stage: int) -> str:
    return f'deepspeed_config={{"zero_optimization": {{"stage": {stage}}}}}'


def shared(steps: int, *words: str, count: int = 2) -> str:
    """What the first of some processes says that share out a run."""
    how = ("train_batch_size=1", f"max_train_steps={steps}", f"num_processes={count}")
    with company(count, *FULL, *how, *words) as made:
        assert made.wait() == [0] * count, made.said(0) + made.said(1)
    return made.said(0)


@pytest.mark.parametrize("stage", [pytest.param(2, marks=pytest.mark.long), 3])
def test_losses_are_those_of_one_process_and_one_goes_on(train: Train, stage: int) -> None:
    assert train(*FULL, max_train_steps=3, output_dir="alone") == 0
    said = shared(2, zero(stage))
    assert f"DeepSpeed, ZeRO stage {stage}: optimizer's state" in said
    assert ("each of 2 processes holds 14.7 MB of weights instead of 29.4" in said) == (stage == 3)
    assert "training all 7,358,736 weights (29.4 MB)" in said
    assert not [word for word in ("WARNING", "Warning", "untested", "built successfully") if word in said]
    assert losses("output") == pytest.approx(losses("alone")[:2], rel=1e-5)
    for key in ("grad_norm", "grad_absmax"):
        alone = [record[key] for record in metrics(Path("alone"))]
        assert [record[key] for record in metrics(Path("output"))] == pytest.approx(alone[:2], rel=1e-3)
    assert train(*FULL, max_train_steps=3) == 0
    assert losses("output") == pytest.approx(losses("alone"), rel=1e-4)
    assert metrics(Path("output"))[2]["resumed_from"] == "checkpoint-2"


@pytest.mark.long
@pytest.mark.parametrize("stage", [2, 3])
def test_a_resumed_run_equals_the_unbroken_one_to_the_bit(stage: int) -> None:
    shared(4, zero(stage), "output_dir=unbroken")
    shared(2, zero(stage))
    shared(4, zero(stage))
    compared = list(Path("unbroken/checkpoint-4").rglob("*.safetensors"))
    assert len(compared) == 3
    for path in compared:
        assert sha256(path) == sha256(Path("output/checkpoint-4") / path.relative_to("unbroken/checkpoint-4"))


@pytest.mark.long
def test_a_run_goes_from_stage_to_stage_and_to_another_engine(train: Train) -> None:
    assert train(*FULL, max_train_steps=4, output_dir="alone") == 0
    shared(1, "fsdp_enable=true")
    shared(2, zero(1))
    shared(3, zero(3))
    shared(4, zero(2))
    assert losses("output") == pytest.approx(losses("alone"), rel=1e-4)


@pytest.mark.long
def test_three_processes_share_what_does_not_divide(train: Train) -> None:
    three = ("train_batch_size=3", "output_dir=alone")
    assert train(*FULL, *three, max_train_steps=2) == 0
    shared(2, zero(3), count=3)
    assert losses("output") == pytest.approx(losses("alone"), rel=1e-5)


@pytest.mark.long
def test_all_draw_what_one_draws_with_the_average_too(train: Train) -> None:
    draw = (
        "validation_disable=false validation_prompt=frog validation_resolution=64 validation_num_inference_steps=2 "
        "validation_step_interval=2 ema_validation=comparison gradient_checkpointing=false"
    ).split()
    shared(3, zero(3), *draw)
    assert train(*FULL, *draw, max_train_steps=3, output_dir="alone") == 0
    assert losses("output") == pytest.approx(losses("alone"), rel=1e-4)
    names = {path.name for path in Path("alone/validation_images").iterdir()}
    assert names == {path.name for path in Path("output/validation_images").iterdir()}
    assert names


@pytest.mark.long
def test_a_bad_update_is_left_out_and_the_next_is_made() -> None:
    shared(3, zero(2), "learning_rate=1e30", "lr_warmup_steps=0", "skip_non_finite_updates=3")
    assert [record.get("skipped_update") for record in metrics(Path("output"))] == [None, 1.0, 1.0]


@pytest.mark.long
@pytest.mark.parametrize("stage", [2, 3])
def test_weights_that_an_update_spoiled_go_back_to_the_last_checkpoint(stage: int) -> None:
    words = (*FULL, zero(stage), "train_batch_size=1", "num_processes=2", "skip_non_finite_updates=1")
    with company(2, *words, "max_train_steps=4", fails=Failure(1, 3, spoiling=True)) as made:
        assert made.wait() == [0, 0], made.said(0) + made.said(1)
    assert "back to checkpoint-2, and on without update 3" in made.said(0)
    assert [record.get("skipped_update") for record in metrics(Path("output"))] == [None, None, 1.0, None]


@pytest.mark.long
def test_slices_of_an_update_and_rolled_out_inputs_are_those_of_one_process(train: Train) -> None:
    words = ("gradient_accumulation_steps=2", "scheduled_sampling_max_step_offset=3")
    often = ("scheduled_sampling_probability=1.0",)
    assert train(*FULL, *words, *often, max_train_steps=2, output_dir="alone") == 0
    shared(2, zero(3), *words, *often)
    assert losses("output") == pytest.approx(losses("alone"), rel=1e-5)


@pytest.mark.long
def test_a_process_that_fails_in_a_pass_ends_all_with_its_reason() -> None:
    failure = Failure(1, 2, MemoryError("no room"), computing=True)
    with company(2, *FULL, zero(3), "train_batch_size=1", "num_processes=2", fails=failure) as made:
        codes = made.wait()
    assert codes == [4, 4]
    assert "do not fit into memory" in made.said(0) + made.said(1)
