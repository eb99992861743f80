from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from simpletuner.core.errors import ConfigError
from simpletuner.validation.prompts import InputPicture, PromptSpec
from simpletuner.validation.recipe import panel_facts, panel_seeds, pixel_digest, read_recipe
from simpletuner.validation.save import EXTENSIONS, PictureFormat, save_picture
from simpletuner.validation.stitch import Panel

FACTS = {
    "model": "tiny",
    "prompt": "a red apple",
    "negative_prompt": "<cfg>",
    "seed": "7",
    "steps": "3",
    "guidance": "2.5",
    "width": "64",
    "height": "96",
    "global_step": "4",
}
RED = Image.new("RGB", (16, 16), "red")
SPEC = PromptSpec("x", "a red apple", (InputPicture("cat.png", RED),))
PANELS = (Panel("base model", RED), Panel("step 4", RED))


@pytest.mark.parametrize("picture_format", list(EXTENSIONS))
def test_what_is_written_is_read(tmp_path: Path, picture_format: PictureFormat) -> None:
    path = tmp_path / f"picture.{EXTENSIONS[picture_format]}"
    inside = {"input_pictures": "cat.png 16x16", "image_guidance": "1.6", "input_side": "right", "vae_dtype": "bf16"}
    save_picture(RED, path, picture_format, 90, FACTS | panel_facts(PANELS, ("", "abc"), SPEC) | inside)
    recipe = read_recipe(path)
    assert recipe.panels == (("base model", ""), ("step 4", "abc"))
    assert (recipe.prompt, recipe.negative, recipe.seed, recipe.steps, recipe.guidance) == (
        "a red apple",
        "<cfg>",
        7,
        3,
        2.5,
    )
    assert recipe.seeds == (7, 7)
    assert (recipe.size, recipe.step, recipe.model, recipe.image_guidance) == ((64, 96), "4", "tiny", 1.6)
    assert (recipe.inputs, recipe.input_names, recipe.input_side) == ((pixel_digest(RED),), "cat.png 16x16", "right")
    assert recipe.options["vae_dtype"] == "bf16"


def test_a_picture_without_inputs_says_nothing_of_them() -> None:
    assert "input_digests" not in panel_facts(PANELS, ("", "abc"), dataclasses.replace(SPEC, pictures=()))


def test_panels_of_different_noise_have_their_own_seeds(tmp_path: Path) -> None:
    facts = FACTS | panel_facts(PANELS, ("", "abc"), SPEC) | panel_seeds([42, 7])
    save_picture(RED, tmp_path / "picture.png", "png", 90, facts)
    assert read_recipe(tmp_path / "picture.png").seeds == (42, 7)
    assert panel_seeds([7, 7]) == {}


@pytest.mark.parametrize(
    "changed",
    [{"seed": "seven"}, {"panel_seeds": "1,2,3"}, {"panels": "no JSON"}, {"panels": "3"}, {"panels": '["a"]'}],
)
def test_a_picture_that_does_not_say_is_refused(tmp_path: Path, changed: dict[str, str]) -> None:
    path = tmp_path / "picture.png"
    save_picture(RED, path, "png", 90, FACTS | panel_facts(PANELS, ("", "abc"), SPEC) | changed)
    with pytest.raises(ConfigError, match="does not say how it was drawn") as caught:
        read_recipe(path)
    assert caught.value.file == path


def test_one_pixel_and_the_size_tell_pictures_apart() -> None:
    other = RED.copy()
    other.putpixel((3, 3), (254, 0, 0))
    assert len({pixel_digest(one) for one in (RED, other, RED.resize((8, 32)))}) == 3
