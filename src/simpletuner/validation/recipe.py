"""The facts inside a picture as what makes it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from simpletuner.core.errors import ConfigError
from simpletuner.validation.prompts import PromptSpec
from simpletuner.validation.save import read_facts
from simpletuner.validation.stitch import Panel

_KEY = "--like"


@dataclass(frozen=True)
class Recipe:
    """What a picture was drawn with.

    ``panels`` are its captions with the digest of the adapter that drew each, empty for the base model; ``size`` is
    (width, height) of one of them. ``options`` say how the model computed, by flat name. ``inputs`` are the digests of
    the pixels of its input pictures, ``input_names`` what these were called. ``seeds`` are those of the ``panels``.
    """

    model: str
    prompt: str
    negative: str
    seed: int
    steps: int
    guidance: float
    size: tuple[int, int]
    step: str
    panels: tuple[tuple[str, str], ...]
    options: Mapping[str, str]
    image_guidance: float | None = None
    inputs: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    input_names: str = ""
    input_side: Literal["left", "right"] = "left"


def panel_facts(panels: Sequence[Panel], digests: Sequence[str], spec: PromptSpec) -> dict[str, str]:
    """What else than prompt and numbers made the ``panels`` of a picture: ``digests`` of the adapters, and inputs."""
    named = [[panel.caption, digest] for panel, digest in zip(panels, digests, strict=True)]
    seen = ",".join(pixel_digest(picture.image) for picture in spec.pictures)
    return {"panels": json.dumps(named), **({"input_digests": seen} if seen else {})}


def panel_seeds(seeds: Sequence[int]) -> dict[str, str]:
    """The seed of each panel, where they differ."""
    return {"panel_seeds": ",".join(map(str, seeds))} if len(set(seeds)) > 1 else {}


def pixel_digest(image: Image.Image) -> str:
    """Names a picture by its pixels."""
    return hashlib.sha256(f"{image.size} {image.mode}".encode() + image.tobytes()).hexdigest()[:16]


def read_recipe(path: Path) -> Recipe:
    """What ``path`` was drawn with. Raises ConfigError when it does not say, DataError when it is no picture."""
    facts = read_facts(path)
    try:
        return _recipe(facts)
    except (KeyError, ValueError, TypeError) as error:
        lacks = f"it lacks {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(
            f"does not say how it was drawn: {lacks}",
            file=path,
            key=_KEY,
            cure="give a picture as simpletuner wrote it: other programs drop the text inside when they save",
        ) from None


def _recipe(facts: Mapping[str, str]) -> Recipe:
    panels = tuple((str(caption), str(digest)) for caption, digest in json.loads(facts["panels"]))
    guidance = facts.get("image_guidance")
    digests = facts.get("input_digests", "")
    seeds = facts.get("panel_seeds") or ",".join([facts["seed"]] * len(panels))
    if seeds.count(",") + 1 != len(panels):
        raise ValueError("its panels and their seeds are not as many")
    return Recipe(
        model=facts["model"],
        prompt=facts["prompt"],
        negative=facts["negative_prompt"],
        seed=int(facts["seed"]),
        steps=int(facts["steps"]),
        guidance=float(facts["guidance"]),
        size=(int(facts["width"]), int(facts["height"])),
        step=facts["global_step"],
        panels=panels,
        options=facts,
        image_guidance=None if guidance is None else float(guidance),
        inputs=tuple(digests.split(",")) if digests else (),
        seeds=tuple(map(int, seeds.split(","))),
        input_names=facts.get("input_pictures", ""),
        input_side="right" if facts.get("input_side") == "right" else "left",
    )
