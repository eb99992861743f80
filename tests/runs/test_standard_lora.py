"""A standard LoRA through the command a user types: trained, resumed, and loaded by other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from simpletuner.adapters.peft import attach_lora
from simpletuner.adapters.targets import LoraSettings
from simpletuner.core.batch import Prompt
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from tests.runs.conftest import Train, metrics

ADAPTER = "pytorch_lora_weights.safetensors"
STANDARD = {"lora_type": "standard", "lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0.1}


def metadata(file: Path) -> dict[str, str]:
    with safe_open(file, "pt") as opened:
        found: dict[str, str] = opened.metadata()
    return found


def base() -> nn.Module:
    return OmniGen().load_denoiser(TINY_FOLDER, torch.float32)


def velocity(denoiser: nn.Module) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    noisy, prompts = torch.randn(2, 4, 8, 8, generator=draws), [Prompt(torch.arange(3, 9)), Prompt(torch.arange(5, 16))]
    with torch.no_grad():
        return OmniGen().predict_velocity(denoiser.eval(), noisy, torch.tensor([0.2, 0.7]), prompts)


def rebuilt_by_peft(file: Path) -> nn.Module:
    """The base model with the adapter of ``file``, made from nothing but the file, as diffusers does it."""
    described: dict[str, Any] = json.loads(metadata(file)["lora_adapter_metadata"])
    config = LoraConfig(**{key.removeprefix("transformer."): value for key, value in described.items()})
    model = inject_adapter_in_model(config, base())
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(file).items()}
    assert not set_peft_model_state_dict(model, tensors).unexpected_keys
    return model


def test_a_run_leaves_an_adapter_that_other_programs_load(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config" / "lycoris_config.json").unlink()
    shown = {"validation_disable": "false", "validation_prompt": "bear", "validation_resolution": "64x64"}
    assert train(**STANDARD, **shown, validation_num_inference_steps=2, lr_warmup_steps=0) == 0
    said = capsys.readouterr().out
    assert "not read: lycoris_config (lora_type is standard)" in said
    assert "Attention: 32 of 32 linears" in said
    assert "OmniGenFeedForward: 16 of 16 linears" in said
    output = tmp_path / "output"
    assert not list(output.rglob("lycoris_config.json"))
    tensors = load_file(output / ADAPTER)
    linears = [shape.path for shape in OmniGen().linears(base())]
    assert tensors.keys() == {f"transformer.{path}.lora_{name}.weight" for path in linears for name in "AB"}
    assert all(tensor.abs().max() > 0 for tensor in tensors.values())
    facts = metadata(output / ADAPTER)
    assert facts["modelspec.architecture"] == "omnigen-tiny/lora"
    assert facts["modelspec.description"] == "LoRA of rank 4 for omnigen"
    assert facts["resolved_classes"] == "Attention,OmniGenFeedForward"
    assert facts["global_step"] == "4"
    for file in (output / ADAPTER, output / "ema" / ADAPTER, output / "checkpoint-4" / "ema" / "ema_model.safetensors"):
        ours = base()
        settings = LoraSettings(rank=4, alpha=8, dropout=0.1)
        attach_lora(ours, settings, FACTS.class_aliases, OmniGen().linears(ours), 0).load_tensors(load_file(file))
        assert torch.equal(velocity(rebuilt_by_peft(file)), velocity(ours))
        assert not torch.allclose(velocity(ours), velocity(base()))


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(train: Train, tmp_path: Path, dtype: str) -> None:
    """Five pictures in batches of two: the break falls in mid-epoch; the adapter's own dropout is on."""
    how = {**STANDARD, "base_model_default_dtype": dtype, "mixed_precision": "bf16"}
    assert train(**how, max_train_steps=5, output_dir="whole", checkpoint_step_interval=100) == 0
    for steps in (2, 5):
        assert train(**how, max_train_steps=steps, output_dir="parts") == 0
    for name in (ADAPTER, f"ema/{ADAPTER}", "checkpoint-5/optimizer.safetensors"):
        whole, parts = load_file(tmp_path / "whole" / name), load_file(tmp_path / "parts" / name)
        assert whole.keys() == parts.keys()
        assert all(torch.equal(whole[key], parts[key]) for key in whole), name
    assert {tensor.dtype for tensor in load_file(tmp_path / "whole" / ADAPTER).values()} == {
        torch.float32 if dtype == "fp32" else torch.bfloat16
    }
    losses = [[record["train_loss"] for record in metrics(tmp_path / folder)] for folder in ("whole", "parts")]
    assert losses[0] == losses[1]


def test_regularisation_pictures_hold_the_adapter_to_the_base_model(train: Train, tmp_path: Path) -> None:
    dataloader = tmp_path / "config" / "multidatabackend.json"
    (entry,) = json.loads(dataloader.read_text())
    kept = entry | {"id": "kept", "is_regularisation_data": True, "cache_dir_vae": "cache/kept"}
    dataloader.write_text(json.dumps([entry, kept]))
    assert train(**STANDARD | {"lora_dropout": 0}, max_train_steps=6, lr_warmup_steps=0) == 0
    records = metrics(tmp_path / "output")
    held = [record["regularisation_loss"] for record in records if "regularisation_loss" in record]
    taught = [record["train_loss"] for record in records if "regularisation_loss" not in record]
    assert len(held) == len(taught) == 3
    assert 0 < max(held) < min(taught), "the base model, at strength 0, is not the model that learned"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"lora_alpha": 4}, "lora_alpha was 8"),
        ({"lora_rank": 2}, "lora_rank was 4, is 2"),
        ({"lora_dropout": 0}, "lora_dropout was 0.1"),
        ({"peft_lora_target_modules": "to_q"}, 'peft_lora_target_modules was null, is ["to_q"]'),
        ({"lora_type": "lycoris"}, "lora_rank was 4, is not set"),
    ],
)
def test_another_adapter_is_refused_with_the_difference(
    train: Train, capsys: pytest.CaptureFixture[str], changed: dict[str, object], told: str
) -> None:
    assert train(**STANDARD, max_train_steps=2) == 0
    assert train(**STANDARD | changed, max_train_steps=4) == 3
    said = capsys.readouterr().err
    assert "different run" in said
    assert told in said


def test_some_layers_only_and_a_name_that_means_none(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(**STANDARD, peft_lora_target_modules='["to_q", "to_out"]') == 2
    said = capsys.readouterr().err
    assert "peft_lora_target_modules: no linear layer of this model is meant by 'to_out'" in said
    assert "did you mean 'to_out.0'?" in said
    assert not (tmp_path / "output").exists()
    assert train(**STANDARD, peft_lora_target_modules="FeedForward,to_out.0", max_train_steps=2) == 0
    assert "Attention: 8 of 32 linears" in capsys.readouterr().out
    assert len(load_file(tmp_path / "output" / ADAPTER)) == 2 * (16 + 8)
