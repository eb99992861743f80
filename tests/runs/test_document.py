"""The document's own files, byte for byte, train the tiny model to the end: both of its dataloader files."""

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
from tests.runs.data_words import entries
from tests.runs.resuming import small_model

PHOTOS = {"a_red_bicycle": (1500, 1000), "cat_on_a_sofa": (1000, 1500), "blue_door": (1024, 1024)}
SUBJECT = {"one": (1024, 1024), "two": (1600, 1200)}
# For the file with evaluation: above maximum_image_size, and below minimum_image_size.
TAUGHT = {"a_red_bicycle": (1800, 1600), "a_stamp": (1000, 1000)}
HELD = {"cat_on_a_sofa": (1300, 1100), "blue_door": (1024, 1024), "a_coin": (1000, 1024)}


def picture(path: Path, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(EXAMPLE / "images" / "frog.png") as image:
        image.convert("RGB").resize(size).save(path, quality=90)


@pytest.fixture
def dataloader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with the document's configuration; where its dataloader file belongs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "omnigen").mkdir(parents=True)
    shutil.copy(DOCUMENT / "config.json", "config/config.json")
    shutil.copy(DOCUMENT / "lycoris_config.json", "config/lycoris_config.json")
    return tmp_path / "config" / "omnigen" / "multidatabackend.json"


@pytest.fixture
def words(dataloader: Path, tmp_path: Path) -> list[str]:
    """The document's folders; the words of a command that trains six steps on the tiny model."""
    shutil.copy(DOCUMENT / "multidatabackend.json", dataloader)
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


@pytest.fixture
def evaluated(dataloader: Path, tmp_path: Path) -> list[str]:
    """The folders of the document's file with evaluation, which lie in the root of its disk; a command that trains."""
    text = (DOCUMENT / "multidatabackend-eval.json").read_text()
    assert text.count('"/datasets/') == 2
    dataloader.write_text(text.replace('"/datasets/', f'"{tmp_path}/datasets/'))
    for folder, pictures in (("pseudo-camera-10k/train", TAUGHT), ("test_datasets/squares", HELD)):
        for name, size in pictures.items():
            picture(tmp_path / "datasets" / folder / f"{name}.jpg", size)
    return ["train", "validation_disable=true", "max_train_steps=2", "eval_steps_interval=1", "eval_timesteps=2"]


def measured(output: Path) -> None:
    """Both epochs trained on one crop of the one picture that is large enough, and measured one of those held out."""
    report = json.loads((output / "report.json").read_text())["datasets"]
    assert [(entry["id"], entry["type"], entry["used"], entry["targets"]) for entry in report] == [
        ("something-special-to-remember-by", "image", 1, {"1.0": "1024x1024"}),
        ("omnigen-eval", "eval", 2, {"1.0": "1024x1024"}),
    ]
    assert [drop["file"] for entry in report for drop in entry["dropped"]] == ["a_stamp.jpg", "a_coin.jpg"]
    assert all("below minimum_image_size 1024" in drop["reason"] for entry in report for drop in entry["dropped"])
    before, *steps = metrics(output)
    assert [(record["step"], record["epoch"]) for record in steps] == [(1, 1), (2, 2)]
    base = before["loss/val/omnigen-eval/base"]
    for record in steps:
        told = {key: float(str(value)) for key, value in record.items() if "omnigen-eval" in key}
        loss = told["loss/val/omnigen-eval"]
        assert 0.1 < loss < 20
        assert loss + told["loss/val/omnigen-eval/gain"] == pytest.approx(base)
        curve = [value for key, value in told.items() if key.startswith("chart/loss/val/omnigen-eval/")]
        assert len(curve) == 2
        assert sum(curve) / 2 == pytest.approx(loss)
        assert "loss/val/omnigen-eval/se" not in told, "num_eval_images is 1"
    assert steps[0]["loss/val/omnigen-eval"] != steps[1]["loss/val/omnigen-eval"]
    assert [len(entries(f"cache/vae/{name}")) for name in ("omnigen", "omnigen-eval")] == [1, 2]
    assert entries("cache/text/omnigen")
    assert (output / "checkpoint-best").is_dir()
    assert (output / "pytorch_lora_weights.safetensors").is_file()


def test_the_file_with_evaluation_on_one_block(evaluated: list[str], tmp_path: Path) -> None:
    model = small_model(tmp_path / "small", blocks=1)
    assert run([*evaluated, f"pretrained_model_name_or_path={model}"]) == 0
    measured(tmp_path / "output" / "models-omnigen")


@pytest.mark.long
def test_the_file_with_evaluation_on_the_whole_tiny_model(evaluated: list[str], tmp_path: Path) -> None:
    assert run([*evaluated, f"pretrained_model_name_or_path={TINY_FOLDER}"]) == 0
    measured(tmp_path / "output" / "models-omnigen")
