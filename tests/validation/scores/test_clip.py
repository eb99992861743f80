from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from simpletuner.config.reading.find import example_folder
from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.scores.clip import clip_on

FOLDER = TINY_FOLDER / "clip"
CPU = torch.device("cpu")
NAMES = ("red_apple", "rocket", "pizza", "frog", "sailboat")


def picture(name: str) -> Image.Image:
    return Image.open(example_folder("emoji-style") / "images" / f"{name}.png").convert("RGB")


def test_every_picture_finds_its_own_words() -> None:
    with clip_on(FOLDER, CPU) as clip:
        pictures = clip.pictures(picture(name) for name in NAMES)
        words = clip.prompts(name.replace("_", " ") for name in NAMES)
        one = clip.pictures([picture("frog")])
        nothing = clip.pictures([])
    assert pictures.shape == words.shape == (5, 128)
    torch.testing.assert_close(pictures.norm(dim=1), torch.ones(5))
    assert (pictures @ words.T).argmax(dim=1).tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(one[0], pictures[3])
    assert len(nothing) == 0


def test_the_cosine_is_that_of_the_library() -> None:
    """Against transformers' own similarity, which is the cosine times a learned scale."""
    with clip_on(FOLDER, CPU) as clip, torch.no_grad():
        pixels = clip.processor(images=[picture("pizza")], return_tensors="pt")
        tokens = clip.tokenizer(["pizza"], return_tensors="pt")
        told = clip.model(**pixels, **tokens).logits_per_image.item() / clip.model.logit_scale.exp().item()
        ours = float((clip.pictures([picture("pizza")]) * clip.prompts(["pizza"])).sum())
    assert ours == pytest.approx(told, abs=1e-5)


def test_long_prompts_and_odd_shapes_are_taken() -> None:
    with clip_on(FOLDER, CPU) as clip:
        assert clip.prompts(["a red apple " * 100, "frog"]).shape == (2, 128)
        assert clip.pictures([Image.new("RGB", (300, 40)), Image.new("RGB", (16, 16))]).isfinite().all()


def test_its_memory_is_free_afterwards() -> None:
    with clip_on(FOLDER, CPU) as clip:
        assert next(clip.model.parameters()).device.type == "cpu"
    assert {parameter.device.type for parameter in clip.model.parameters()} == {"meta"}


@pytest.mark.parametrize("damage", ["missing", "another shape", "no safetensors", "no configuration"])
def test_files_that_are_not_whole_are_refused(damage: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "clip"))
    file, said = folder / "model.safetensors", "pretrained_evaluation_model_name_or_path: cannot be loaded"
    weights = load_file(file)
    match damage:
        case "missing":
            del weights["visual_projection.weight"]
            said = r"lacks 1 weights, the first is visual_projection\.weight"
            save_file(weights, file, metadata={"format": "pt"})
        case "another shape":
            save_file(weights | {"logit_scale": torch.zeros(3)}, file, metadata={"format": "pt"})
        case "no safetensors":
            file.write_bytes(b"no weights")
        case "no configuration":
            (folder / "config.json").write_text(json.dumps({"model_type": "clip", "text_config": {"hidden_size": "x"}}))
    with pytest.raises(ConfigError, match=said):
        clip_on(folder, CPU).__enter__()
