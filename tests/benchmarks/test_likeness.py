"""Distances by hand, and an exam that every model sits alike."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.likeness import Exam, adapter_distance, model_over, picture_figures
from benchmarks.runs import ADAPTER, EXAMPLE
from scripts.tiny.clip_scores import Clip, image_features, load_clip
from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.config.files.lycoris import read_lycoris
from simpletuner.config.reading.find import example_folder
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER

DRAWS = torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip(TINY_FOLDER / "clip")


@pytest.fixture(scope="module")
def exam() -> Exam:
    return Exam(levels=1)


def test_equal_pictures_are_at_no_distance(clip: Clip) -> None:
    pictures = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8, generator=DRAWS)
    found = picture_figures(pictures, pictures, clip)
    assert found["psnr_db"] is None
    assert (found["pictures"], found["mean_absolute_difference"]) == (2, 0)
    assert found["clip_distance_at_most"] < 1e-6


def test_distances_of_pictures_by_hand(clip: Clip) -> None:
    expected = torch.randint(200, (2, 3, 64, 64), dtype=torch.uint8, generator=DRAWS)
    found = expected.clone()
    found[1] += 10
    figures = picture_figures(found, expected, clip)
    assert figures["mean_absolute_difference"] == pytest.approx(5)
    assert figures["mean_absolute_difference_at_most"] == pytest.approx(10)
    assert figures["psnr_db"] == pytest.approx(10 * math.log10(255**2 / 50))
    cosines = torch.nn.functional.cosine_similarity(image_features(clip, found), image_features(clip, expected))
    assert figures["clip_distance_at_most"] == pytest.approx(1 - float(cosines[1]), abs=1e-6)
    assert figures["clip_distance"] == pytest.approx(1 - float(cosines.mean()), abs=1e-6)


def test_the_distance_of_adapters_is_that_of_their_changes() -> None:
    shapes = {"a.lokr_w1": (2, 3), "a.lokr_w2": (4, 5), "b.lokr_w1": (3, 2), "b.lokr_w2": (2, 2)}
    one, other = ({name: torch.randn(shape, generator=DRAWS) for name, shape in shapes.items()} for _ in range(2))
    changes = [
        torch.cat([torch.kron(file[f"{layer}.lokr_w1"], file[f"{layer}.lokr_w2"]).flatten() for layer in "ab"])
        for file in (one, other)
    ]
    expected = float((changes[0] - changes[1]).norm() / changes[1].norm())
    assert adapter_distance(one, other) == pytest.approx(expected)
    same = {name: tensor * (2 if name.endswith("w1") else 0.5) for name, tensor in one.items()}
    assert adapter_distance(same, one) == pytest.approx(0, abs=1e-6)


def test_every_model_sits_the_same_exam(exam: Exam) -> None:
    base = model_over(TINY_FOLDER, "no_change", None)
    loss = exam.loss(base)
    assert Exam(levels=1).loss(base) == loss
    int8, int2 = (exam.loss(model_over(TINY_FOLDER, preset, None)) for preset in ("int8-quanto", "int2-quanto"))
    assert 0 < abs(int8 / loss - 1) < 0.01 < int2 / loss - 1


def test_what_a_run_trained_lies_over_its_base(exam: Exam, tmp_path: Path) -> None:
    recipe = example_folder(EXAMPLE) / "lycoris_config.json"
    shutil.copy(recipe, tmp_path)
    denoiser = OmniGen().load_denoiser(TINY_FOLDER, torch.float32)
    tensors = attach_lycoris(denoiser, read_lycoris(recipe), FACTS.class_aliases, seed=0).tensors()
    save_file(tensors, tmp_path / ADAPTER)
    fresh = exam.loss(model_over(TINY_FOLDER, "no_change", tmp_path))
    assert fresh == pytest.approx(exam.loss(model_over(TINY_FOLDER, "no_change", None)), rel=1e-6)
    moved = {name: tensor + 0.01 if "lokr_w" in name else tensor for name, tensor in tensors.items()}
    save_file(moved, tmp_path / ADAPTER)
    assert exam.loss(model_over(TINY_FOLDER, "no_change", tmp_path)) != pytest.approx(fresh, rel=1e-3)
