"""`simpletuner generate`: the pictures of a run, made again from what it left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from simpletuner.cli.main import run
from simpletuner.validation.library import LIBRARY
from simpletuner.validation.save import read_facts, save_picture
from tests.runs.conftest import Train

ADAPTER = "pytorch_lora_weights.safetensors"
# Rates at which two updates can be seen.
SEEN = {
    "validation_disable": "false",
    "validation_prompt": "a red apple",
    "validation_resolution": "64x64,64x96",
    "validation_num_inference_steps": 3,
    "validation_step_interval": 2,
    "validation_lycoris_strength": 2.5,
    "lr_warmup_steps": 0,
    "learning_rate": 0.02,
    "max_grad_norm": 1,
}


def same(one: Path, other: Path) -> bool:
    """Whether two files show the same picture, pixel for pixel."""
    with Image.open(one) as first, Image.open(other) as second:
        return first.size == second.size and ImageChops.difference(first, second).getbbox() is None


def made_again(picture: Path, folder: Path, *words: str) -> Path:
    assert run(["generate", "--like", str(picture), "--output", str(folder), *words]) == 0
    return folder / picture.name


def test_every_picture_of_a_run_is_made_again_to_the_pixel(train: Train, tmp_path: Path) -> None:
    """Base model, learned and averaged weights stand in one picture; the empty prompt is drawn, too."""
    assert train(**SEEN, ema_validation="comparison") == 0
    output = tmp_path / "output"
    pictures = sorted((output / "validation_images").glob("step_[24]_*.png"))
    assert len(pictures) == 8
    for picture in (pictures[0], pictures[-1], output / "benchmarks" / "base_model" / "validation_64x64.png"):
        again = made_again(picture, tmp_path / "again")
        assert same(again, picture), picture.name
        assert read_facts(again) == read_facts(picture)
    captions = [caption for caption, _ in json.loads(read_facts(pictures[-1])["panels"])]
    assert captions == ["base model", "step 4", "EMA"]
    assert not same(*[output / "validation_images" / f"step_{step}_validation_0_64x64.png" for step in (2, 4)])


def test_the_words_that_a_picture_was_drawn_with_draw_it_again(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No benchmark: what lies there is one picture, and the words of a command line alone make it."""
    assert train(**SEEN, disable_benchmark="true", validation_disable_unconditional="true") == 0
    output = tmp_path / "output"
    words = [*"--model tiny --prompt".split(), "a red apple", "--adapter", str(output / ADAPTER)]
    words += "--resolution 64x64 --steps 3 --guidance 7.5 --seed 42 --strength 2.5 --output drawn".split()
    assert run(["generate", *words]) == 0
    drawn = tmp_path / "drawn" / "a_red_apple_42_64x64.png"
    assert same(drawn, output / "validation_images" / "step_4_validation_0_64x64.png")
    assert same(made_again(drawn, tmp_path / "again", "--adapter", str(output / ADAPTER)), drawn)
    capsys.readouterr()
    assert run(["generate", "--like", str(drawn), "--output", "again"]) == 2
    told = capsys.readouterr().err
    assert "name the adapter file with --adapter" in told
    assert "step" not in told
    assert run(["generate", *words[:-4], "--strength", "1", "--output", "drawn"]) == 0
    assert not same(tmp_path / "drawn" / "a_red_apple_42_64x64-2.png", drawn)


def test_random_noise_and_a_strength_of_its_own_are_in_the_picture(train: Train, tmp_path: Path) -> None:
    library = {"weak": {"caption": "a red apple", "adapter_strength": 0.5}, "strong": {"tags": "a red apple"}}
    (tmp_path / "config" / "library.json").write_text(json.dumps(library))
    once = {"validation_resolution": "64x64", "validation_disable_unconditional": "true", "validation_prompt": ""}
    assert train(**SEEN | once, user_prompt_library="library.json", validation_randomize="true") == 0
    drawn = sorted((tmp_path / "output" / "validation_images").iterdir())
    facts = {path.name.removesuffix("_0_64x64.png"): read_facts(path) for path in drawn}
    assert list(facts) == ["step_2_strong", "step_2_weak", "step_4_strong", "step_4_weak"]
    assert len({fact["seed"] for fact in facts.values()} | {"42"}) == 3
    assert [fact["validation_lycoris_strength"] for fact in facts.values()] == ["2.5", "0.5"] * 2
    for picture in drawn[:2]:
        assert same(made_again(picture, tmp_path / "again"), picture), picture.name
    assert not same(*drawn[:2])


def test_the_built_in_prompts_are_drawn_and_nothing_before_its_time(train: Train, tmp_path: Path) -> None:
    quick = {"validation_num_inference_steps": 1, "validation_resolution": "64x64", "disable_benchmark": "true"}
    late = {"validation_step_interval": 1, "validate_after_step": 2, "max_train_steps": 2, "validation_guidance": 1}
    assert train(**SEEN | quick | late, validation_prompt_library="true") == 0
    names = {path.name.removesuffix("_0_64x64.png") for path in (tmp_path / "output" / "validation_images").iterdir()}
    asked = ["unconditional", "validation", *(spec.nickname for spec in LIBRARY)]
    assert names == {f"step_2_{nickname}" for nickname in asked}


def test_input_pictures_are_asked_for_and_known_by_their_pixels(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = {"validation_input": "pictures/frog.png", "validation_stitch_input_location": "right"}
    size = {"validation_resolution": "64x64", "validation_step_interval": 4, "validation_disable_unconditional": "true"}
    assert train(**SEEN | size, **inside) == 0
    picture = tmp_path / "output" / "validation_images" / "step_4_validation_0_64x64.png"
    assert same(made_again(picture, tmp_path / "again", "--image", "pictures/frog.png"), picture)
    capsys.readouterr()
    for words in ([], ["--image", "pictures/pizza.png"]):
        assert run(["generate", "--like", str(picture), "--output", "again", *words]) == 2
        assert "was drawn with the input pictures frog.png" in capsys.readouterr().err


def test_what_is_wanted_and_not_there_is_said(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(**SEEN, max_train_steps=2, disable_benchmark="true") == 0
    output = tmp_path / "output"
    (picture,) = output.glob("validation_images/step_2_validation_0_*.png")
    moved = shutil.copy(picture, tmp_path / "config" / "alone.png")
    capsys.readouterr()
    assert run(["generate", "--like", str(moved), "--output", "again"]) == 2
    told = capsys.readouterr().err
    assert "was drawn with the adapter" in told
    assert "of step 2" in told
    assert run(["generate", "--like", str(moved), "--output", "again", "--adapter", str(output / ADAPTER)]) == 0
    with Image.open(picture) as image:
        save_picture(image.copy(), tmp_path / "bare.png", "png", 100, {"prompt": "x"})
    assert run(["generate", "--like", "bare.png", "--output", "again"]) == 2
    assert "it lacks panels" in capsys.readouterr().err
