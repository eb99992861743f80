"""`simpletuner generate`: pictures with the sampler of validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count, product
from pathlib import Path

import torch
from PIL import Image

from simpletuner.assemble.commands.adapted_model import read_adapter
from simpletuner.assemble.commands.arguments import GenerateArguments
from simpletuner.assemble.commands.pipeline import Pipeline, model_for, set_up, studio_of
from simpletuner.assemble.seeing.inputs import read_input
from simpletuner.diffusion.sampler import SamplingStep
from simpletuner.training.model import TrainedModel
from simpletuner.validation.names import safe_nickname
from simpletuner.validation.prompts import InputPicture, PromptSpec
from simpletuner.validation.recipe import panel_facts
from simpletuner.validation.render import Sampling, Studio, facts_of, render
from simpletuner.validation.save import save_picture
from simpletuner.validation.stitch import Panel

Tell = Callable[[str], None]
Shot = tuple[PromptSpec, tuple[int, int], Sampling]
"""What to draw, its size (width, height), and how."""

_CAPTION = "generated"


def generate(arguments: GenerateArguments, tell: Tell) -> None:
    """Draw every prompt at every size, ``count`` times with the next seed each, and tell where the pictures lie.

    Raises ConfigError when the adapter is not for this model, DataError when an input picture cannot be read.
    """
    # Read first: it takes no time, and the model does.
    file = None if arguments.adapter is None else read_adapter(arguments.adapter)
    pipeline = set_up(arguments.base, {}, tell)
    inputs = inputs_of(pipeline, arguments.images)
    model = model_for(pipeline, file)
    studio = studio_of(pipeline, model)
    for spec, size, sampling in _shots(arguments, inputs):
        image, digest = drawn(model, studio, (spec, size, sampling), arguments.strength)
        facts = {
            "model": arguments.base.name,
            **facts_of(studio, spec, size, sampling, 0),
            **panel_facts((Panel(_CAPTION, image),), (digest,), spec),
            "validation_lycoris_strength": str(arguments.strength),
        }
        path = free_file(arguments.output / f"{spec.nickname}_{sampling.seed}_{size[0]}x{size[1]}.png")
        save_picture(image, path, "png", 100, facts)
        tell(f"wrote {path}")


def _shots(arguments: GenerateArguments, inputs: tuple[InputPicture, ...]) -> Iterator[Shot]:
    for prompt, size, number in product(arguments.prompts, arguments.sizes, range(arguments.count)):
        sampling = Sampling(
            arguments.steps, arguments.guidance, arguments.seed + number, arguments.negative, arguments.image_guidance
        )
        yield PromptSpec(safe_nickname(prompt), prompt, inputs), size, sampling


def free_file(path: Path) -> Path:
    """``path``, or the first of ``name-2.png``, ``name-3.png`` ... that is not there."""
    others = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(one for one in chain((path,), others) if not one.exists())


def inputs_of(pipeline: Pipeline, files: Sequence[Path]) -> tuple[InputPicture, ...]:
    """Input pictures as validation reads them. Raises PictureError for one that cannot be read."""
    facts = pipeline.family.facts
    return tuple(read_input(file, facts.native_edge, facts.side_multiple) for file in files)


@torch.no_grad()
def drawn(model: TrainedModel, studio: Studio, shot: Shot, strength: float) -> tuple[Image.Image, str]:
    """The picture, and the digest of the adapter that drew it."""
    spec, size, sampling = shot
    inputs = [picture.image for picture in spec.pictures]
    with model.strength(strength):
        return render(studio, spec.prompt, size, sampling, _unheard, inputs), studio.adapter_digest()


def _unheard(_step: SamplingStep) -> None:
    """Nobody counts the steps of one picture."""
