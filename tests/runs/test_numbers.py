"""A picture whose loss is no number, in a real run: told, left out within a budget, and never on disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from simpletuner.models.catalogue import family_facts
from tests.runs.conftest import Train, metrics

OTHERS = ("red apple", "rocket", "pizza", "cactus")
ONE_BY_ONE = {"train_batch_size": 1, "caption_dropout_probability": 0, "max_grad_norm": 2.0}


@pytest.fixture
def poisoned(tmp_path: Path) -> Path:
    """The tiny model with an embedding that is no number, of a token that only one of the captions has."""
    source = Path(family_facts("omnigen").flavours["tiny"].source)
    target = shutil.copytree(source, tmp_path / "poisoned")
    words = Tokenizer.from_file(str(target / "tokenizer" / "tokenizer.json"))
    ids = set(words.encode("frog").ids) - {token for text in OTHERS for token in words.encode(text).ids}
    file = target / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    (name,) = [name for name in tensors if name.endswith("embed_tokens.weight")]
    tensors[name][sorted(ids)] = float("nan")
    save_file(tensors, file)
    return target


def nothing_bad_is_on_disk(output: Path) -> None:
    files = sorted(output.rglob("*.safetensors"))
    assert files
    for file in files:
        for name, tensor in load_file(file).items():
            assert not tensor.is_floating_point() or tensor.isfinite().all(), f"{file}: {name}"


def saved(checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((checkpoint / "training_state.json").read_text())
    return dict(state["progress"])


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix == ".safetensors" or path.name == "training_state.json"
    }


def test_updates_without_a_number_are_left_out_and_a_resume_leaves_out_the_same(
    train: Train, poisoned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {**ONE_BY_ONE, "pretrained_model_name_or_path": poisoned, "skip_non_finite_updates": 2}
    assert train(**options, max_train_steps=10, checkpoint_step_interval=5) == 0
    told = capsys.readouterr().out
    records = metrics(tmp_path / "output")
    skipped = [int(str(record["step"])) for record in records if record.get("skipped_update")]
    assert [record["step"] for record in records] == list(range(1, 11))
    assert len(skipped) == 2
    assert [record["step"] for record in records if record["train_loss"] is None] == skipped
    for number, step in enumerate(skipped, start=1):
        assert f"update {step} is left out: step {step} gave loss nan" in told
        assert f"pictures: flat/frog.png; the loss of flat/frog.png is not finite ({number} of at most 2)" in told
    assert saved(tmp_path / "output" / "checkpoint-10")["skipped"] == skipped
    nothing_bad_is_on_disk(tmp_path / "output")
    for stop in (skipped[0], 10):
        assert train(**options, max_train_steps=stop, checkpoint_step_interval=5, output_dir="again") == 0
    one, other = (files(tmp_path / name / "checkpoint-10") for name in ("output", "again"))
    assert one == other


@pytest.mark.parametrize("budget", [0, 1])
def test_a_budget_that_is_used_up_ends_the_run_with_its_own_code(
    train: Train, poisoned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], budget: int
) -> None:
    options = {**ONE_BY_ONE, "pretrained_model_name_or_path": poisoned, "skip_non_finite_updates": budget}
    assert train(**options, max_train_steps=10, checkpoint_step_interval=1) == 6
    told = capsys.readouterr()
    assert "weights were not touched; pictures: flat/frog.png" in told.err
    assert told.out.count("is left out") == budget
    assert not (tmp_path / "output" / "pytorch_lora_weights.safetensors").exists()
    last = metrics(tmp_path / "output")[-1]["step"]
    assert (tmp_path / "output" / f"checkpoint-{last}").is_dir()
    assert not (tmp_path / "output" / f"checkpoint-{int(str(last)) + 1}").exists()
    nothing_bad_is_on_disk(tmp_path / "output")


def test_weights_that_an_update_spoils_are_never_written(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"optimizer": "torch-adamw", "learning_rate": 1e38, "lr_warmup_steps": 0, "max_grad_norm": 0}
    assert train(**options, max_train_steps=3, checkpoint_step_interval=1, skip_non_finite_updates=1) == 6
    assert "update 1 left" in capsys.readouterr().err
    assert list((tmp_path / "output").glob("checkpoint-*")) == []
    assert not (tmp_path / "output" / "pytorch_lora_weights.safetensors").exists()
