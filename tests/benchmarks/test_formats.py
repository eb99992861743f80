"""Every format has a row, bf16's base holds values of bf16, and the whole command compares what it trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks.formats import FORMATS, YARDSTICKS, Trainings, main
from benchmarks.timing import ROOT
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.precision.presets import PRESETS

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


def test_every_format_has_a_row() -> None:
    assert set(FORMATS) == {*YARDSTICKS, *PRESETS}
    assert all(FORMATS[name] == {"base_model_precision": name} for name in PRESETS)


def test_the_base_is_rounded_to_bf16_for_all_but_fp32(tmp_path: Path) -> None:
    trainings = Trainings(tmp_path, 1)
    assert trainings.base("fp32") == TINY_FOLDER
    base = trainings.base("int8-quanto")
    assert base == trainings.base("bf16") == tmp_path / "base-bf16"
    rounded, whole = (load_file(folder / WEIGHTS) for folder in (base, TINY_FOLDER))
    assert all(torch.equal(rounded[name], whole[name].bfloat16().float()) for name in whole)
    assert any(not torch.equal(rounded[name], whole[name].float()) for name in whole)
    assert [path.name for path in tmp_path.iterdir()] == ["base-bf16"]


def test_prompts_are_the_examples_and_strangers(tmp_path: Path) -> None:
    prompts = Trainings(tmp_path, 1).prompts
    assert prompts[:2] == ("cat_face", "rocket")
    assert len(prompts) == len(set(prompts)) == 24


@pytest.mark.long
def test_the_command(tmp_path: Path) -> None:
    work, file, picture = (tmp_path / name for name in ("work", "formats.json", "formats.png"))
    names = ["fp32", "bf16", "int8-quanto"]
    words = ["--work", str(work), "--steps", "2", "--json", str(file), "--picture", str(picture), "--formats", *names]
    main(words)
    found = json.loads(file.read_text())
    assert list(found) == names
    assert all(figures["steps"] == 2 for figures in found.values())
    assert "to_bf16" not in found["bf16"]
    near = found["int8-quanto"]["to_bf16"]
    assert 0 < abs(near["train_loss"]) < 0.01
    assert 0 < near["mean_absolute_difference"] < 10
    assert 0 < near["clip_distance"] < 0.1
    assert found["bf16"]["loss_after"] < found["bf16"]["loss_before"]
    with Image.open(picture) as sheet:
        assert sheet.width > 8 * 64
        assert sheet.height > len(names) * 64


def test_the_page_states_what_the_results_say() -> None:
    """docs/memory-and-speed.md: how far trainings over each format end from those over bf16, beside another seed's."""
    (file,) = (ROOT / "benchmarks" / "results").glob("formats-*-cpu.json")
    found = {name: figures.get("to_bf16", {}) for name, figures in json.loads(file.read_text()).items()}
    stated = {
        **dict.fromkeys(("int8-quanto", "int8-torchao"), (0.002, 0.5, 0.0002)),
        "fp8-torchao": (0.03, 2, 0.0025),
        **dict.fromkeys(("int4-quanto", "int4-torchao"), (0.07, 6, 0.025)),
    }
    for name, (loss, pixels, clip) in stated.items():
        assert abs(found[name]["train_loss"]) < loss
        assert found[name]["mean_absolute_difference"] < pixels
        assert found[name]["clip_distance"] < clip
    seed, untrained = found["bf16, seed 43"], found["untrained"]
    assert seed["mean_absolute_difference"] > 8
    assert seed["clip_distance"] > 0.035
    assert untrained["mean_absolute_difference"] > 19
    assert untrained["clip_distance"] > 0.14
