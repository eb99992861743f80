"""The bundled examples through the command, cut short here; the whole of them, with their gates, under --all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from scripts.tiny.gates import Figures, failures
from scripts.tiny.measure_examples import style_figures, subject_figures
from scripts.tiny.report import trained_on
from simpletuner.cli.main import run
from tests.runs.conftest import metrics

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


@pytest.mark.parametrize("example", ["emoji-style", "emoji-subject"])
def test_a_few_steps(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["max_train_steps=2", "validation_num_inference_steps=2", "lr_warmup_steps=0"]
    assert run(["train", "--example", example, *words]) == 0
    finished(Path("output") / example, 2)


def test_the_subject_has_the_documents_three_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["check", "--example", "emoji-subject"]) == 0
    report = json.loads((Path("output") / "emoji-subject" / "report.json").read_text())
    assert {entry["id"]: entry["used"] for entry in report["datasets"]} == {"emoji": 16, "blip": 8, "blip-32": 8}
    assert report["problems"] == []
    assert run(["train", "--example", "emoji-subject", "max_train_steps=1", "validation_disable=true"]) == 0
    report = json.loads((Path("output") / "emoji-subject" / "report.json").read_text())
    told = [problem.splitlines()[0] for problem in report["problems"]]
    assert len(told) == 2
    assert all(line.endswith("is never trained in this run") for line in told), "one step is of one data set"


@pytest.mark.long
@pytest.mark.parametrize(("example", "measure"), [("emoji-style", style_figures), ("emoji-subject", subject_figures)])
def test_the_whole_example_in_five_minutes(
    example: str, measure: Callable[[Path], Figures], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    assert run(["train", "--example", example]) == 0
    assert time.monotonic() - began < 300
    output = Path("output") / example
    finished(output, len(metrics(output)))
    assert failures(measure(output), trained_on()) == []
