"""`simpletuner generate --like PICTURE`: a picture made again from the facts inside it, equal to the pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from PIL import Image

from simpletuner.adapters.base import digest_of
from simpletuner.adapters.initial import AdapterFile
from simpletuner.assemble.commands.adapted_model import read_adapter
from simpletuner.assemble.commands.arguments import GenerateArguments
from simpletuner.assemble.commands.generate import drawn, free_file, inputs_of
from simpletuner.assemble.commands.pipeline import Pipeline, model_for, set_up, studio_of
from simpletuner.core.errors import ConfigError
from simpletuner.validation.names import safe_nickname
from simpletuner.validation.prompts import InputPicture, PromptSpec
from simpletuner.validation.recipe import Recipe, pixel_digest, read_recipe
from simpletuner.validation.render import PICTURE_GUIDANCE, Sampling
from simpletuner.validation.save import EXTENSIONS, PictureFormat, read_facts, save_picture
from simpletuner.validation.stitch import Panel, compose

_NAMES = ("pytorch_lora_weights.safetensors", "ema_model.safetensors")
# In a run, beside its result, in its checkpoints, and averaged ones in those. Not deeper: the folder may be anyone's.
_BELOW = ("", "*/", "*/*/")
_FORMATS: Mapping[str, PictureFormat] = {f".{ending}": name for name, ending in EXTENSIONS.items()}


def generate_like(arguments: GenerateArguments, like: Path, tell: Callable[[str], None]) -> None:
    """Draw ``like`` once more: each of its panels with the adapter that drew it.

    Raises ConfigError naming the adapter or the input picture that is wanted and not there.
    """
    recipe = read_recipe(like)
    adapters = _adapters(recipe, like, arguments.adapter)
    pipeline = set_up(arguments.base, recipe.options, tell)
    spec = PromptSpec(safe_nickname(recipe.prompt), recipe.prompt, _inputs(pipeline, recipe, arguments))
    panels = [
        Panel(caption, _panel(pipeline, replace(recipe, seed=seed), spec, adapters.get(digest)))
        for (caption, digest), seed in zip(recipe.panels, recipe.seeds, strict=True)
    ]
    image = compose(panels, [one.image for one in spec.pictures], recipe.input_side, recipe.prompt)
    path = free_file(arguments.output / like.name)
    picture_format = _FORMATS.get(like.suffix.lower(), "png")
    save_picture(image, path, picture_format, int(recipe.options.get("image_quality", "90")), read_facts(like))
    tell(f"wrote {path}")


def _panel(pipeline: Pipeline, recipe: Recipe, spec: PromptSpec, file: AdapterFile | None) -> Image.Image:
    model = model_for(pipeline, file)
    guidance = PICTURE_GUIDANCE if recipe.image_guidance is None else recipe.image_guidance
    sampling = Sampling(recipe.steps, recipe.guidance, recipe.seed, recipe.negative, guidance)
    strength = float(recipe.options.get("validation_lycoris_strength", "1"))
    return drawn(model, studio_of(pipeline, model), (spec, recipe.size, sampling), strength)[0]


def _adapters(recipe: Recipe, like: Path, given: Path | None) -> dict[str, AdapterFile]:
    """The adapter files that the panels want, by digest. Raises ConfigError for one that is nowhere."""
    wanted = {digest for _, digest in recipe.panels if digest}
    found: dict[str, AdapterFile] = {}
    for path in _candidates(like, given):
        if wanted <= set(found):
            break
        file = read_adapter(path)
        found[digest_of(file.tensors)] = file
    if missing := sorted(wanted - set(found)):
        searched = f"{given} is another one" if given else f"no file in {_run_folder(like)} is that one"
        # `generate` draws at no step, and its pictures lie beside no run.
        step = f" of step {recipe.step}" if recipe.step != "0" else ""
        kept = f"; the run keeps one in checkpoint-{recipe.step}, if it saved there" if recipe.step != "0" else ""
        raise ConfigError(
            f"was drawn with the adapter {missing[0][:16]}{step}, and {searched}",
            file=like,
            key="--adapter",
            cure=f"name the adapter file{step} with --adapter{kept}",
        )
    return found


def _candidates(like: Path, given: Path | None) -> Iterator[Path]:
    """The file that is named, and whatever else the run of ``given``, or of ``like``, has left."""
    folder = _run_folder(like if given is None else given)
    yield from () if given is None else (given,)
    yield from (path for name in _NAMES for below in _BELOW for path in sorted(folder.glob(below + name)))


def _run_folder(path: Path) -> Path:
    """The output folder of a run that ``path`` lies in, else the folder of ``path``."""
    folders = path.resolve().parents
    return next((folder for folder in folders[:3] if _is_of_run(folder)), folders[0])


def _is_of_run(folder: Path) -> bool:
    return (folder / _NAMES[0]).is_file() or any(folder.glob("checkpoint-*"))


def _inputs(pipeline: Pipeline, recipe: Recipe, arguments: GenerateArguments) -> tuple[InputPicture, ...]:
    """The input pictures, checked by their pixels. Raises ConfigError when they are others, or missing."""
    found = inputs_of(pipeline, arguments.images)
    if tuple(pixel_digest(picture.image) for picture in found) != recipe.inputs:
        told = "others were given" if found else "none were given"
        raise ConfigError(
            f"was drawn with the input pictures {recipe.input_names}, and {told}",
            file=arguments.like,
            key="--image",
            cure="name them in this order with --image; one that a data set had cropped cannot be made again so",
        )
    return found
