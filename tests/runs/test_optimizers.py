"""Whole runs with optimizers of every library, broken off and gone on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.runs.conftest import Train, metrics

ADAPTER = "pytorch_lora_weights.safetensors"


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        ("bnb-lion8bit-paged", 2e-5),
        ("adamw_schedulefree", 1e-3),
        ("prodigy", 1.0),
        ("muon", 1e-3),
        ("ao-adamw4bit", 1e-3),
    ],
)
def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(
    train: Train, tmp_path: Path, optimizer: str, rate: float
) -> None:
    how = {"optimizer": optimizer, "learning_rate": rate}
    assert train(**how, max_train_steps=4, output_dir="whole", checkpoint_step_interval=100) == 0
    for steps in (2, 4):
        assert train(**how, max_train_steps=steps, output_dir="parts") == 0
    for name in (ADAPTER, f"ema/{ADAPTER}", "checkpoint-4/optimizer.safetensors"):
        whole, parts = load_file(tmp_path / "whole" / name), load_file(tmp_path / "parts" / name)
        assert whole.keys() == parts.keys()
        assert all(torch.equal(whole[key], parts[key]) for key in whole), name
    losses = [[record["train_loss"] for record in metrics(tmp_path / folder)] for folder in ("whole", "parts")]
    assert losses[0] == losses[1]
    learned = load_file(tmp_path / "whole" / ADAPTER)
    assert all(value.abs().max() > 0 for name, value in learned.items() if name.endswith("lokr_w2"))


def test_a_schedule_free_run_saves_what_it_learned_and_keeps_what_it_trains(train: Train, tmp_path: Path) -> None:
    assert train(optimizer="adamw_schedulefree", use_ema="false", max_train_steps=3) == 0
    checkpoint = tmp_path / "output" / "checkpoint-3"
    saved = load_file(checkpoint / ADAPTER)
    state = load_file(checkpoint / "optimizer.safetensors")
    live = {key: value for key, value in state.items() if key.startswith("live/")}
    name = "lycoris_layers_0_self_attn_to_q.lokr_w2"
    (trained,) = (value for key, value in live.items() if key.endswith(name))
    assert (saved[name].shape, torch.equal(saved[name], trained)) == (trained.shape, False)
    assert torch.equal(saved[name], load_file(tmp_path / "output" / ADAPTER)[name])


def test_a_mistake_in_the_settings_ends_before_anything_is_done(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(optimizer="prodigy", optimizer_config="d_coeff=2") == 2
    assert "prodigy has no setting 'd_coeff'; did you mean 'd_coef'?" in capsys.readouterr().err
    assert not (tmp_path / "output").exists()


def test_an_object_of_settings_is_read_from_the_file(train: Train, tmp_path: Path) -> None:
    file = tmp_path / "config" / "config.json"
    settings = {"optimizer": "torch-sgd", "optimizer_config": {"momentum": 0.9}}
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    assert train(max_train_steps=1) == 0
    kept = load_file(tmp_path / "output" / "checkpoint-1" / "optimizer.safetensors")
    assert any(key.endswith("/momentum_buffer") for key in kept)
