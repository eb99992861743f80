"""The document's own three files, byte for byte, train the tiny model to the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from simpletuner.cli.main import run
from simpletuner.models.omnigen.layers import TINY_FOLDER
from tests.runs.conftest import DOCUMENT, EXAMPLE, metrics

PHOTOS = {"a_red_bicycle": (1500, 1000), "cat_on_a_sofa": (1000, 1500), "blue_door": (1024, 1024)}
SUBJECT = {"one": (1024, 1024), "two": (1600, 1200)}


def picture(path: Path, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(EXAMPLE / "images" / "frog.png") as image:
        image.convert("RGB").resize(size).save(path, quality=90)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The document's folders; the words of a command that trains six steps on the tiny model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "omnigen").mkdir(parents=True)
    shutil.copy(DOCUMENT / "config.json", "config/config.json")
    shutil.copy(DOCUMENT / "lycoris_config.json", "config/lycoris_config.json")
    shutil.copy(DOCUMENT / "multidatabackend.json", "config/omnigen/multidatabackend.json")
    for name, size in PHOTOS.items():
        picture(tmp_path / "datasets" / "pseudo-camera-10k" / f"{name}.jpg", size)
    for name, size in SUBJECT.items():
        picture(tmp_path / "datasets" / "dreambooth-subject" / f"{name}.jpg", size)
    return ["train", f"pretrained_model_name_or_path={TINY_FOLDER}", "max_train_steps=6"]


def finished(output: Path) -> None:
    report = json.loads((output / "report.json").read_text())["datasets"]
    assert [(entry["id"], entry["used"], entry["dropped"]) for entry in report] == [
        ("pseudo-camera-10k-omnigen", 3, []),
        ("dreambooth-subject", 2, []),
        ("dreambooth-subject-512", 2, []),
    ]
    assert report[1]["buckets"] == {"1.0": 1, "1.29": 1}
    assert report[1]["batches"] == 2 * 1001
    assert [record["step"] for record in metrics(output)] == list(range(1, 7))
    assert metrics(output)[-1]["learning_rate"] == pytest.approx(4e-5 * 6 / 100)
    tensors = load_file(output / "pytorch_lora_weights.safetensors")
    assert len(tensors) == 8 * 6 * 3
    assert (output / "checkpoint-6").is_dir()
    assert {path.name for path in (output / "validation_images").iterdir()} == {
        "step_6_unconditional_0_1024x1024.png",
        "step_6_validation_0_1024x1024.png",
    }


def test_with_few_sampling_steps(words: list[str], tmp_path: Path) -> None:
    assert run([*words, "validation_num_inference_steps=1"]) == 0
    finished(tmp_path / "output" / "models-omnigen")


@pytest.mark.long
def test_as_it_stands(words: list[str], tmp_path: Path) -> None:
    assert run(words) == 0
    finished(tmp_path / "output" / "models-omnigen")
