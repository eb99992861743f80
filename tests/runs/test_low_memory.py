"""The document's lowest-memory recipe, as far as a CPU can follow it: trained, resumed, with every format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from simpletuner.precision.presets import PRESETS
from tests.runs.conftest import Train, metrics

ADAPTER = "pytorch_lora_weights.safetensors"
RECIPE = {
    "base_model_precision": "int8-quanto",
    "quantize_via": "cpu",
    "optimizer": "bnb-lion8bit-paged",
    "learning_rate": 2e-5,
    "gradient_checkpointing": "true",
    "train_batch_size": 1,
    "use_ema": "false",
}


@pytest.fixture
def factor_25(tmp_path: Path, train: Train) -> Train:
    """The document's LoKr with the factor of its lowest-memory recipe."""
    file = tmp_path / "config" / "lycoris_config.json"
    lokr = json.loads(file.read_text())
    lokr["factor"] = 25
    lokr["apply_preset"]["module_algo_map"] = {"Attention": {"factor": 25}, "FeedForward": {"factor": 25}}
    file.write_text(json.dumps(lokr))
    return train


def test_the_recipe_trains_and_resumes_to_the_bit(
    factor_25: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert factor_25(**RECIPE, max_train_steps=4, output_dir="whole", checkpoint_step_interval=100) == 0
    said = capsys.readouterr().out
    assert "base weights in int8-quanto: 48 linears take 6.5 MB instead of 25.7" in said
    assert "pages are CUDA's" in said
    for steps in (2, 4):
        assert factor_25(**RECIPE, max_train_steps=steps, output_dir="parts") == 0
    whole, parts = (load_file(tmp_path / folder / ADAPTER) for folder in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    w2 = "lycoris_layers_0_self_attn_to_q.lokr_w2"
    assert whole[w2].shape == (16, 16)
    assert whole[w2].abs().max() > 0


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "int8-quanto"])
def test_every_format_trains(factor_25: Train, tmp_path: Path, preset: str) -> None:
    assert (
        factor_25(**{**RECIPE, "base_model_precision": preset, "max_train_steps": 2, "resume_from_checkpoint": ""}) == 0
    )
    adapter = load_file(tmp_path / "output" / ADAPTER)
    assert all(torch.isfinite(value).all() for value in adapter.values())
    assert max(value.abs().max() for name, value in adapter.items() if name.endswith("w2")) > 0
    assert all(0 < float(record["train_loss"]) < 10 for record in metrics(tmp_path / "output"))


def test_another_format_is_another_run(factor_25: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert factor_25(**RECIPE, max_train_steps=2) == 0
    assert factor_25(**{**RECIPE, "base_model_precision": "nf4-bnb"}, max_train_steps=4) == 3
    assert 'base_model_precision was "int8-quanto", is "nf4-bnb"' in capsys.readouterr().err
