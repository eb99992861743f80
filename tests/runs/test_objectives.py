"""Objectives through the command a user types."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.runs.company import company
from tests.runs.conftest import Train, metrics

ADAPTER = "pytorch_lora_weights.safetensors"
ROLLED = {
    "scheduled_sampling_max_step_offset": 3,
    "scheduled_sampling_timesteps": 20,
    "scheduled_sampling_ramp_steps": 4,
    "scheduled_sampling_prob_start": 0.3,
    "scheduled_sampling_prob_end": 1,
}
EVERYTHING = ROLLED | {
    "loss_type": "huber",
    "flow_cubic_schedule_weights": "1,3,1",
    "flow_stratified_timesteps": True,
    "input_perturbation": 0.1,
    "input_perturbation_steps": 6,
    "lr_warmup_steps": 0,
}


def adapters(tmp_path: Path, *folders: str) -> list[dict[str, torch.Tensor]]:
    return [load_file(tmp_path / folder / ADAPTER) for folder in folders]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_with_every_objective_resumes_to_the_bit(train: Train, tmp_path: Path) -> None:
    """The break falls into an epoch, into the ramp, and into the decay of the extra noise."""
    assert train(**EVERYTHING, max_train_steps=7, output_dir="whole", checkpoint_step_interval=100) == 0
    for steps in (3, 7):
        assert train(**EVERYTHING, max_train_steps=steps, output_dir="parts") == 0
    assert same(*adapters(tmp_path, "whole", "parts"))
    kept = [
        {name: value for name, value in record.items() if name not in ("step_seconds", "resumed_from", "time")}
        for folder in ("whole", "parts")
        for record in metrics(tmp_path / folder)
    ]
    told = ("train_loss", "scheduled_sampling/share", "scheduled_sampling/drift", "grad_norm", "grad_absmax")
    assert [[record.get(name) for name in told] for record in kept[:7]] == [
        [record.get(name) for name in told] for record in kept[7:]
    ]
    assert sum(record["scheduled_sampling/share"] > 0 for record in metrics(tmp_path / "whole")) > 2


@pytest.mark.parametrize(
    "nothing",
    [
        {"scheduled_sampling_max_step_offset": 0, "scheduled_sampling_probability": 1},
        {"scheduled_sampling_max_step_offset": 5, "scheduled_sampling_probability": 0},
        ROLLED | {"scheduled_sampling_prob_start": 0, "scheduled_sampling_start_step": 9},
    ],
)
def test_offset_0_or_chance_0_is_plain_training_to_the_bit(
    train: Train, tmp_path: Path, nothing: dict[str, object]
) -> None:
    assert train(max_train_steps=3, lr_warmup_steps=0, output_dir="plain") == 0
    assert train(max_train_steps=3, lr_warmup_steps=0, output_dir="nothing", **nothing) == 0
    assert same(*adapters(tmp_path, "plain", "nothing"))
    losses = [[record["train_loss"] for record in metrics(tmp_path / folder)] for folder in ("plain", "nothing")]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("kind", ["lycoris", "standard"])
def test_pictures_to_leave_alone_have_no_loss_under_any_objective(train: Train, tmp_path: Path, kind: str) -> None:
    dataloader = tmp_path / "config" / "multidatabackend.json"
    entries = json.loads(dataloader.read_text())
    dataloader.write_text(json.dumps([entries[0] | {"is_regularisation_data": True}]))
    assert train(**EVERYTHING | {"scheduled_sampling_prob_start": 1}, max_train_steps=3, lora_type=kind) == 0
    records = metrics(tmp_path / "output")
    assert [record["regularisation_loss"] for record in records] == [0, 0, 0]
    assert [record["scheduled_sampling/share"] for record in records] == [0, 0, 0]


def test_a_segmentation_counts_by_chance(train: Train, tmp_path: Path) -> None:
    """Black masks leave nothing to learn where they count; without a chance they count nowhere."""
    (tmp_path / "masks").mkdir()
    for picture in (tmp_path / "pictures").iterdir():
        with Image.open(picture) as image:
            Image.new("RGB", image.size).save(tmp_path / "masks" / picture.name)
    dataloader = tmp_path / "config" / "multidatabackend.json"
    entries = json.loads(dataloader.read_text())
    masks = entries[0] | {
        "id": "masks", "dataset_type": "conditioning", "conditioning_type": "segmentation",
        "instance_data_dir": "masks", "cache_dir_vae": "cache/masks",
    }  # fmt: skip
    assert train(max_train_steps=3, output_dir="unmasked") == 0
    dataloader.write_text(json.dumps([entries[0] | {"conditioning_data": "masks"}, masks]))
    losses = {}
    for chance in (0, 0.5, 1):
        shutil.rmtree(tmp_path / "output", ignore_errors=True)
        assert train(max_train_steps=3, masked_loss_probability=chance) == 0
        losses[chance] = [float(str(record["train_loss"])) for record in metrics(tmp_path / "output")]
    unmasked = [record["train_loss"] for record in metrics(tmp_path / "unmasked")]
    assert losses[0] == unmasked
    assert losses[1] == [0, 0, 0]
    assert 0 < sum(losses[0.5]) < sum(losses[0])


def test_stratified_timesteps_cover_the_range_with_every_few_pictures(train: Train, tmp_path: Path) -> None:
    """With no slicing or number of updates in the key: one update of four is the same four as two of two."""
    quiet = {"caption_dropout_probability": 0, "use_ema": "false", "max_train_steps": 3, "flow_stratified_timesteps": 1}
    assert train(**quiet, output_dir="one", train_batch_size=4) == 0
    assert train(**quiet, output_dir="two", train_batch_size=2, gradient_accumulation_steps=2) == 0
    assert train(**quiet | {"flow_stratified_timesteps": 0}, output_dir="plain", train_batch_size=4) == 0
    one, two, plain = (
        [float(str(record["train_loss"])) for record in metrics(tmp_path / folder)]
        for folder in ("one", "two", "plain")
    )
    assert one == pytest.approx(two, rel=1e-4)
    assert all(first != second for first, second in zip(one, plain, strict=True))


@pytest.mark.two_ranks
@pytest.mark.parametrize("engine", ["replicas", "sharded"])
def test_two_processes_train_what_one_does(train: Train, tmp_path: Path, engine: str) -> None:
    """Updates of two pictures and of one: roll-outs of unequal lengths, and a process that has nothing of its own."""
    assert train(**EVERYTHING, max_train_steps=4, output_dir="alone") == 0
    words = [f"{key}={value}" for key, value in {**EVERYTHING, "max_train_steps": 4, "train_batch_size": 1}.items()]
    with company(2, *words, "num_processes=2", f"fsdp_enable={engine == 'sharded'}") as made:
        assert made.wait() == [0, 0], made.said(0) + made.said(1)
    alone, together = (metrics(tmp_path / folder) for folder in ("alone", "output"))
    shares = [record["scheduled_sampling/share"] for record in alone]
    assert [record["scheduled_sampling/share"] for record in together] == shares
    assert {0.5, 1} & set(shares)
    for name in ("train_loss", "grad_norm"):
        told = [[float(str(record[name])) for record in records] for records in (alone, together)]
        assert told[0] == pytest.approx(told[1], rel=1e-3)
