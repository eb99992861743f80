"""Where an adapter's training starts from: an adapter file, its average and its step; a small random change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.runs.conftest import Train, metrics

ADAPTER = "pytorch_lora_weights.safetensors"
# So small a rate that what a run ends with is what it began with.
STILL = {"learning_rate": 1e-12, "lr_warmup_steps": 0}


def near(one: Path, other: Path) -> bool:
    ours, theirs = load_file(one), load_file(other)
    return ours.keys() == theirs.keys() and all(torch.allclose(ours[name], theirs[name], atol=1e-9) for name in ours)


@pytest.mark.parametrize("kind", [{}, {"lora_type": "standard", "lora_rank": 4, "lora_alpha": 8}])
def test_a_run_goes_on_from_an_adapter_file_and_its_average(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: dict[str, object]
) -> None:
    assert train(**kind, output_dir="first") == 0
    if not kind:
        other = {"algo": "lora", "multiplier": 1.0, "linear_dim": 2, "linear_alpha": 1}
        (tmp_path / "config" / "lycoris_config.json").write_text(json.dumps(other))
    file = tmp_path / "first" / ADAPTER
    capsys.readouterr()
    again = {**({"lora_type": "standard"} if kind else {}), "init_lora": file, "output_dir": "second"}
    shadow = tmp_path / "first" / "checkpoint-4" / "ema_shadow.safetensors"
    assert train(**again, **STILL, init_lora_ema=shadow, ema_decay=0.9999, max_train_steps=6) == 0
    said = capsys.readouterr().out
    assert f"starting from {ADAPTER}: step 4 of 6" in said
    assert f"the adapter has the shape of {ADAPTER}" in said
    assert [record["step"] for record in metrics(tmp_path / "second")] == [5, 6]
    assert near(file, tmp_path / "second" / ADAPTER)
    assert train(**again, **STILL, init_lora_ema=shadow, ema_decay=0.9999, max_train_steps=7) == 0
    assert "going on from checkpoint-6" in capsys.readouterr().out
    if not kind:
        written = json.loads((tmp_path / "second" / "lycoris_config.json").read_text())
        assert written["algo"] == "lokr"


def test_the_step_may_be_given_and_must_lie_before_the_end(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(output_dir="first", max_train_steps=2) == 0
    file = tmp_path / "first" / ADAPTER
    assert train(init_lora=file, max_train_steps=2) == 2
    assert "init_lora_step: the file was saved at step 2, and the run ends at step 2" in capsys.readouterr().err
    assert train(init_lora=file, init_lora_step=0, max_train_steps=2) == 0
    assert [record["step"] for record in metrics(tmp_path / "output")] == [1, 2]
    assert train(init_lora="nowhere.safetensors") == 2
    assert "init_lora: there is no file 'nowhere.safetensors'" in capsys.readouterr().err


def test_lokr_may_begin_as_a_small_random_change(train: Train, tmp_path: Path) -> None:
    assert train(**STILL, init_lokr_norm=0.001, max_train_steps=1) == 0
    values = load_file(tmp_path / "output" / ADAPTER)
    assert torch.allclose(values["lycoris_layers_0_self_attn_to_q.lokr_w1"], torch.ones(16, 16))
    spread = values["lycoris_layers_0_self_attn_to_q.lokr_w2"].std()
    assert 0 < spread < 0.01
