"""From pictures to an adapter that other programs read, through the command a user types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from simpletuner.core.checkpoints import problem_with
from simpletuner.validation.save import read_facts
from tests.runs.conftest import Train, metrics

ADAPTER = "pytorch_lora_weights.safetensors"
LINEARS = [*(f"self_attn_to_{end}" for end in ("q", "k", "v", "out_0")), "mlp_gate_up_proj", "mlp_down_proj"]
FORMATS = [("adamw_bf16", "fp32"), ("adamw_bf16", "bf16"), ("torch-adamw", "fp32")]


def test_a_run_leaves_what_was_promised(train: Train, tmp_path: Path) -> None:
    shown = {"validation_disable": "false", "validation_prompt": "bear", "validation_resolution": "64x64"}
    steps = {"validation_num_inference_steps": 2, "validation_step_interval": 2, "report_to": "tensorboard"}
    assert train(**shown, **steps) == 0
    output = tmp_path / "output"
    tensors = load_file(output / ADAPTER)
    for part in (
        "self_attn_to_q",
        "self_attn_to_k",
        "self_attn_to_v",
        "self_attn_to_out_0",
        "mlp_gate_up_proj",
        "mlp_down_proj",
    ):
        for block in range(8):
            assert tensors[f"lycoris_layers_{block}_{part}.lokr_w2"].abs().max() > 0
    assert len(tensors) == 8 * 6 * 3
    assert json.loads((output / "lycoris_config.json").read_text()) == json.loads(
        (tmp_path / "config" / "lycoris_config.json").read_text()
    )
    assert [path.name for path in sorted(output.glob("checkpoint-*"))] == ["checkpoint-2", "checkpoint-4"]
    assert problem_with(output / "checkpoint-4") is None
    pictures = sorted(path.name for path in (output / "validation_images").iterdir())
    assert pictures == [
        f"step_{step}_{name}_0_64x64.png" for step in (2, 4) for name in ("unconditional", "validation")
    ]
    assert (output / "benchmarks" / "base_model" / "validation_64x64.png").is_file()
    assert read_facts(output / "validation_images" / pictures[1])["prompt"] == "bear"
    assert list((output / "logs").rglob("events.*"))
    assert [record["step"] for record in metrics(output)] == [1, 2, 3, 4]
    average = load_file(output / "checkpoint-4" / "ema" / "ema_model.safetensors")
    assert average.keys() == tensors.keys(), "the averaged adapter of a checkpoint loads like the adapter"
    report = json.loads((output / "report.json").read_text())["datasets"][0]
    assert (report["files"], report["used"], report["buckets"], report["batches"]) == (5, 5, {"1.0": 5}, 3)


def test_metadata_tell_what_the_adapter_is(train: Train, tmp_path: Path) -> None:
    assert train(max_train_steps=1) == 0
    with safe_open(tmp_path / "output" / ADAPTER, "pt") as file:
        facts = file.metadata()
    assert facts["modelspec.architecture"] == "omnigen-tiny/lora"
    assert facts["global_step"] == "1"
    assert facts["resolved_classes"] == "Attention,OmniGenFeedForward"
    assert facts["modelspec.resolution"] == "64x64"
    assert json.loads(facts["lycoris_config"])["algo"] == "lokr"


@pytest.mark.parametrize(
    ("optimizer", "dtype"), [("adamw_bf16", "fp32"), ("adamw_bf16", "bf16"), ("torch-adamw", "fp32")]
)
def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(
    train: Train, tmp_path: Path, optimizer: str, dtype: str
) -> None:
    """Five pictures in batches of two and three steps an epoch: the break falls in mid-epoch, dropout is on."""
    how = {"optimizer": optimizer, "base_model_default_dtype": dtype, "mixed_precision": "bf16"}
    assert train(**how, max_train_steps=7, output_dir="whole", checkpoint_step_interval=100) == 0
    for steps in (2, 5, 7):
        assert train(**how, max_train_steps=steps, output_dir="parts") == 0
    for name in (ADAPTER, f"ema/{ADAPTER}", "checkpoint-7/optimizer.safetensors"):
        whole, parts = load_file(tmp_path / "whole" / name), load_file(tmp_path / "parts" / name)
        assert whole.keys() == parts.keys()
        assert all(torch.equal(whole[key], parts[key]) for key in whole), name
    losses = [[record["train_loss"] for record in metrics(tmp_path / folder)] for folder in ("whole", "parts")]
    assert losses[0] == losses[1]
    resumed = [record.get("resumed_from") for record in metrics(tmp_path / "parts")]
    assert resumed == [None, None, "checkpoint-2", None, None, "checkpoint-5", None]


def test_accumulation_changes_nothing_but_memory(train: Train, tmp_path: Path) -> None:
    quiet = {"caption_dropout_probability": 0, "use_ema": "false", "max_train_steps": 3}
    assert train(**quiet, output_dir="one", train_batch_size=4) == 0
    assert train(**quiet, output_dir="two", train_batch_size=2, gradient_accumulation_steps=2) == 0
    one, two = (metrics(tmp_path / folder) for folder in ("one", "two"))
    for first, second in zip(one, two, strict=True):
        assert first["train_loss"] == pytest.approx(second["train_loss"], rel=1e-4)


def test_a_second_start_encodes_nothing_and_a_changed_picture_is_encoded_anew(train: Train, tmp_path: Path) -> None:
    assert train(max_train_steps=1, output_dir="first") == 0
    entries = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "vae").rglob("*.safetensors")}
    assert len(entries) == 5
    assert train(max_train_steps=1, output_dir="second") == 0
    assert {path: path.stat().st_mtime_ns for path in entries} == entries
    with Image.open(tmp_path / "pictures" / "frog.png") as image:
        image.rotate(90).save(tmp_path / "pictures" / "frog.png")
    assert train(max_train_steps=3, output_dir="third") == 0
    assert len(list((tmp_path / "cache" / "vae").rglob("*.safetensors"))) == 6
    assert train(max_train_steps=3, output_dir="fourth") == 0
    losses = [[record["train_loss"] for record in metrics(tmp_path / name)] for name in ("third", "fourth")]
    assert losses[0] == losses[1]


def test_latents_made_on_demand_are_the_cached_ones(train: Train, tmp_path: Path) -> None:
    assert train(output_dir="never", vae_cache_disable="true") == 0
    assert not list((tmp_path / "cache" / "vae").rglob("*.safetensors"))
    assert train(output_dir="demand", vae_cache_ondemand="true") == 0
    assert len(list((tmp_path / "cache" / "vae").rglob("*.safetensors"))) == 5
    assert train(output_dir="cached") == 0
    losses = [[record["train_loss"] for record in metrics(tmp_path / name)] for name in ("never", "demand", "cached")]
    assert losses[0] == losses[1] == losses[2]


def test_regularisation_pictures_hold_the_adapter_to_the_base_model(train: Train, tmp_path: Path) -> None:
    dataloader = tmp_path / "config" / "multidatabackend.json"
    entries = json.loads(dataloader.read_text())
    kept = entries[0] | {"id": "kept", "is_regularisation_data": True, "cache_dir_vae": "cache/kept"}
    dataloader.write_text(json.dumps([kept]))
    assert train(max_train_steps=2, lr_warmup_steps=0, output_dir="alone") == 0
    records = metrics(tmp_path / "alone")
    assert [record["train_loss"] for record in records] == [0, 0], "an adapter that does nothing is the base model"
    dataloader.write_text(json.dumps([entries[0], kept]))
    assert train(max_train_steps=6, lr_warmup_steps=0, learning_rate="5e-3", output_dir="both") == 0
    records = metrics(tmp_path / "both")
    held = [record["regularisation_loss"] for record in records if "regularisation_loss" in record]
    taught = [record["train_loss"] for record in records if "regularisation_loss" not in record]
    assert len(held) == len(taught) == 3
    assert 0 < max(held) < min(taught), "what was taught moved the adapter away from the base model, a little"


def test_full_training_writes_a_transformer_that_loads_as_a_base(train: Train, tmp_path: Path) -> None:
    full = {"model_type": "full", "optimizer": "torch-adamw", "learning_rate": "1e-4", "max_train_steps": 2}
    assert train(**full, output_dir="full") == 0
    weights = load_file(tmp_path / "full" / "transformer" / "diffusion_pytorch_model.safetensors")
    average = load_file(tmp_path / "full" / "ema" / "transformer" / "diffusion_pytorch_model.safetensors")
    assert weights.keys() == average.keys()
    assert any(not torch.equal(weights[name], average[name]) for name in weights)
    assert train(**full | {"max_train_steps": 3}, output_dir="full") == 0
    assert metrics(tmp_path / "full")[-1]["resumed_from"] == "checkpoint-2"
