"""Every LyCORIS method through the command a user types: it trains, stays finite and resumes exactly."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.runs.conftest import Train, metrics

ADAPTER = "pytorch_lora_weights.safetensors"
METHODS: dict[str, dict[str, Any]] = {
    **{algo: {"algo": algo} for algo in ("lora", "locon", "loha", "ia3", "full", "diag-oft", "boft", "glora")},
    "dylora": {"algo": "dylora", "block_size": 2},
    "tlora": {"algo": "tlora", "tlora_min_rank": 2, "tlora_alpha": 1.5},
    "dora": {"algo": "lokr", "dora_wd": True},
    "lokr-both": {"algo": "lokr", "decompose_both": True, "linear_dim": 2, "use_scalar": True},
    "lora-dropped": {"algo": "lora", "dropout": 0.1, "rank_dropout": 0.1, "module_dropout": 0.1, "use_scalar": True},
    "oft-rescaled": {"algo": "diag-oft", "constraint": 0.01, "rescaled": True, "module_dropout": 0.1},
}
LAYERS = {"target_module": ["Attention"], "exclude_name": [r"layers\.[2-9]"]}


def lycoris_file(tmp_path: Path, changes: dict[str, Any]) -> None:
    content = {"multiplier": 1.0, "linear_dim": 4, "linear_alpha": 4, "apply_preset": LAYERS} | changes
    (tmp_path / "config" / "lycoris_config.json").write_text(json.dumps(content))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_and_a_resumed_run_equals_an_unbroken_one(train: Train, tmp_path: Path, method: str) -> None:
    lycoris_file(tmp_path, METHODS[method])
    how = {"learning_rate": "1e-2", "lr_warmup_steps": 0, "caption_dropout_probability": 0, "optimizer": "torch-adamw"}
    assert train(**how, output_dir="whole", gradient_checkpointing="true") == 0
    whole = tmp_path / "whole"
    losses = [float(str(record["train_loss"])) for record in metrics(whole)]
    assert len(losses) == 4
    assert all(math.isfinite(loss) for loss in losses)
    shutil.copytree(whole / "checkpoint-2", tmp_path / "parts" / "checkpoint-2")
    assert train(**how, output_dir="parts", gradient_checkpointing="true") == 0
    names = [ADAPTER, f"ema/{ADAPTER}", "checkpoint-4/optimizer.safetensors", "checkpoint-4/ema_shadow.safetensors"]
    names += (
        ["checkpoint-4/adapter_state.safetensors"]
        if (whole / "checkpoint-4/adapter_state.safetensors").exists()
        else []
    )
    for name in names:
        one, two = load_file(whole / name), load_file(tmp_path / "parts" / name)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name
        assert all(tensor.isfinite().all() for tensor in one.values()), name
    moved, start = load_file(whole / ADAPTER), load_file(whole / "checkpoint-2" / ADAPTER)
    assert any(not torch.equal(moved[key], start[key]) for key in moved)
    assert [record.get("resumed_from") for record in metrics(tmp_path / "parts")] == ["checkpoint-2", None]


@pytest.mark.parametrize(
    ("method", "kept"), [("tlora", True), ("lora-dropped", True), ("full", False), ("dylora", False)]
)
def test_state_beside_the_file_is_kept_where_the_file_does_not_hold_it(
    train: Train, tmp_path: Path, method: str, *, kept: bool
) -> None:
    lycoris_file(tmp_path, METHODS[method])
    assert train(max_train_steps=1, checkpoint_step_interval=1) == 0
    assert (tmp_path / "output" / "checkpoint-1" / "adapter_state.safetensors").exists() is kept
