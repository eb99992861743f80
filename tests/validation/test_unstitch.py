"""The picture of what was trained, cut out of one where it stands beside the base model's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from simpletuner.validation.recipe import panel_facts, panel_seeds, read_recipe
from simpletuner.validation.save import EXTENSIONS, PictureFormat, save_picture
from simpletuner.validation.stitch import Panel, compose
from simpletuner.validation.unstitch import save_alone, stands_beside
from tests.validation.test_recipe import FACTS, RED, SPEC

ALONE = dataclasses.replace(SPEC, pictures=())


def drawn(size: tuple[int, int], colour: str) -> Image.Image:
    noise = Image.effect_noise(size, 90).convert("RGB")
    return ImageChops.add(noise, Image.new("RGB", size, colour))


def saved(path: Path, panels: list[Panel], picture_format: PictureFormat = "png", seeds: tuple[int, ...] = ()) -> Path:
    width, height = panels[0].image.size
    facts = FACTS | {"width": str(width), "height": str(height)} | panel_seeds(seeds)
    facts |= panel_facts(panels, [f"adapter {number}" for number in range(len(panels))], ALONE)
    save_picture(compose(panels, (), "left", "a red apple"), path, picture_format, 95, facts)
    return path


@pytest.mark.parametrize("size", [(64, 64), (80, 48), (100, 60), (256, 256), (512, 384)])
@pytest.mark.parametrize("captions", [("base model", "step 4"), ("base model", "step 4", "EMA"), ("step 4", "EMA")])
def test_every_pixel_of_the_live_weights(tmp_path: Path, size: tuple[int, int], captions: tuple[str, ...]) -> None:
    colours = dict(zip(("base model", "step 4", "EMA"), ("red", "blue", "lime"), strict=True))
    panels = [Panel(caption, drawn(size, colours[caption])) for caption in captions]
    picture = saved(tmp_path / "beside.png", panels, seeds=(42, 7, 7)[: len(panels)])
    assert stands_beside(picture)
    save_alone(picture, tmp_path / "alone.png", 90)
    place = captions.index("step 4")
    with Image.open(tmp_path / "alone.png") as alone:
        assert alone.tobytes() == panels[place].image.tobytes()
    recipe = read_recipe(tmp_path / "alone.png")
    assert recipe.panels == (("step 4", f"adapter {place}"),)
    assert recipe.seeds == ((42, 7, 7)[place],)
    assert recipe.size == size
    assert not stands_beside(tmp_path / "alone.png")


@pytest.mark.parametrize("picture_format", ["webp", "jpeg"])
def test_other_formats_stay_what_they_are(tmp_path: Path, picture_format: PictureFormat) -> None:
    ending = EXTENSIONS[picture_format]
    panels = [
        Panel("base model", Image.new("RGB", (64, 64), "red")),
        Panel("EMA 4", Image.new("RGB", (64, 64), "blue")),
    ]
    picture = saved(tmp_path / f"beside.{ending}", panels, picture_format)
    save_alone(picture, tmp_path / f"alone.{ending}", 95)
    with Image.open(tmp_path / f"alone.{ending}") as alone:
        assert alone.format == picture_format.upper()
        red, _, blue = alone.convert("RGB").getpixel((32, 32))  # type: ignore[misc]
    assert (red < 20, blue > 230) == (True, True)


def test_what_stays_as_it_is(tmp_path: Path) -> None:
    single = saved(tmp_path / "single.png", [Panel("step 4", RED)])
    RED.save(tmp_path / "foreign.png")
    facts = FACTS | panel_facts((Panel("base model", RED), Panel("step 4", RED)), ("", "abc"), SPEC)
    save_picture(RED, tmp_path / "with-inputs.png", "png", 90, facts)
    assert not any(map(stands_beside, (single, tmp_path / "foreign.png", tmp_path / "with-inputs.png")))
