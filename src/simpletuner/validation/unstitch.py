"""What was trained alone, cut out of a picture in which it stands beside the base model."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from simpletuner.core.errors import ConfigError
from simpletuner.validation.recipe import Recipe, read_recipe
from simpletuner.validation.save import EXTENSIONS, read_facts, save_picture
from simpletuner.validation.stitch import panel_box
from simpletuner.validation.validator import BASE

_FORMATS = {f".{ending}": name for name, ending in EXTENSIONS.items()}


def stands_beside(picture: Path) -> bool:
    """Whether ``picture`` has other panels that it can be cut out from; beside input pictures it stays."""
    try:
        recipe = read_recipe(picture)
    except ConfigError:
        return False
    return len(recipe.panels) > 1 and not recipe.inputs


def save_alone(picture: Path, target: Path, quality: int) -> None:
    """Write the panel of what was trained into ``target``, with its own facts: `generate --like` makes it again.

    Of live and averaged weights the live ones. ``picture`` is one that :func:`stands_beside` others. Raises OSError.
    """
    recipe = read_recipe(picture)
    number = next((place for place, (caption, _) in enumerate(recipe.panels) if caption != BASE), 0)
    with Image.open(picture) as whole:
        cut = whole.convert("RGB").crop(panel_box(recipe.size, number))
    image = cut.resize(recipe.size, Image.Resampling.NEAREST)
    save_picture(image, target, _FORMATS[picture.suffix], quality, _facts(picture, recipe, number))


def _facts(picture: Path, recipe: Recipe, number: int) -> dict[str, str]:
    facts = {name: value for name, value in read_facts(picture).items() if name != "panel_seeds"}
    return facts | {"panels": json.dumps([recipe.panels[number]]), "seed": str(recipe.seeds[number])}
