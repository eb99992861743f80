"""The bundled example through the command, cut short here; the whole of it under --all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from simpletuner.cli.main import run
from tests.runs.conftest import metrics

OUTPUT = Path("output") / "emoji-style"
ADAPTER = "pytorch_lora_weights.safetensors"


def finished(folder: Path, steps: int) -> None:
    tensors = load_file(folder / ADAPTER)
    second = [tensor for name, tensor in tensors.items() if name.endswith("lokr_w2")]
    assert len(second) == 8 * 6
    assert all(tensor.abs().max() > 0 for tensor in second)
    assert [record["step"] for record in metrics(folder)] == list(range(1, steps + 1))
    assert list(folder.glob("checkpoint-*"))
    base = sorted((folder / "benchmarks" / "base_model").iterdir())
    last = sorted((folder / "validation_images").glob(f"step_{steps}_*.png"))
    assert len(base) == len(last) > 0
    with Image.open(last[0]) as stitched:
        assert stitched.width == 2 * 256 + 5


def test_a_few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["max_train_steps=2", "validation_num_inference_steps=2", "lr_warmup_steps=0"]
    assert run(["train", "--example", "emoji-style", *words]) == 0
    finished(OUTPUT, 2)


@pytest.mark.long
def test_the_whole_example_in_five_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    assert run(["train", "--example", "emoji-style"]) == 0
    assert time.monotonic() - began < 300
    finished(OUTPUT, len(metrics(OUTPUT)))
    losses = [float(str(record["train_loss"])) for record in metrics(OUTPUT)]
    assert sum(losses[-50:]) < sum(losses[:50])
