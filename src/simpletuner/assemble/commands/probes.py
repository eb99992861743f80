"""`simpletuner generate --probe`: questions about the user's own weights, answered with numbers and a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from PIL import Image

from simpletuner.assemble.commands.adapted_model import read_adapter
from simpletuner.assemble.commands.arguments import GenerateArguments
from simpletuner.assemble.commands.generate import drawn, free_file
from simpletuner.assemble.commands.long_prompts import LONG, SHORT
from simpletuner.assemble.commands.pipeline import Pipeline, model_for, set_up, studio_of
from simpletuner.assemble.seeing.inputs import read_input
from simpletuner.core.files import write_json
from simpletuner.core.seeds import generator
from simpletuner.data.cache.decode import naming
from simpletuner.data.entries import PictureError
from simpletuner.data.files.images import open_rgb
from simpletuner.data.places.geometry import Size
from simpletuner.training.model import TrainedModel
from simpletuner.validation.names import safe_nickname
from simpletuner.validation.probes.artifacts import RoundTrip, round_trip
from simpletuner.validation.probes.buckets import Measured, Shape, Subject, compared, cut, measure, sizes
from simpletuner.validation.probes.chart import Line, chart
from simpletuner.validation.probes.tokens import Answers, arrangements, ask
from simpletuner.validation.prompts import PromptSpec
from simpletuner.validation.render import Sampling
from simpletuner.validation.save import save_picture

Tell = Callable[[str], None]

_TURNS = 4
_LITTLE = 0.05
_GROUP = 32


def probe(arguments: GenerateArguments, tell: Tell) -> None:
    """Answer ``arguments.probe``: tell a table and a conclusion, and keep both as JSON and PNG in the output folder.

    Raises ConfigError when the adapter is not for this model, DataError when a picture cannot be read.
    """
    pipeline = set_up(arguments.base, {}, tell)
    if arguments.probe == "artifacts":
        _artifacts(arguments, pipeline, tell)
        return
    file = None if arguments.adapter is None else read_adapter(arguments.adapter)
    model = model_for(pipeline, file)
    answer = _tokens if arguments.probe == "tokens" else _buckets
    with model.strength(arguments.strength):
        answer(arguments, pipeline, model, tell)


def _tokens(arguments: GenerateArguments, pipeline: Pipeline, model: TrainedModel, tell: Tell) -> None:
    asked = arguments.prompts or LONG
    prompts = [turned for prompt in asked for turned in arrangements(prompt, max(1, _TURNS // len(asked)))]
    width, height = arguments.sizes[0]
    latents, downsample = pipeline.family.latents, pipeline.family.latents.downsample
    shape = (arguments.count, latents.channels, height // downsample, width // downsample)
    noise = torch.randn(shape, generator=generator(arguments.seed, "probe")).to(pipeline.device)
    found = ask(model, pipeline.text, prompts, noise)
    advised = pipeline.family.facts.advised_tokens
    for line in token_lines(found, advised):
        tell(line)
    lines = (
        Line(f"{found.width} tokens replaced there", found.places, found.replaced),
        Line("everything from there on replaced", found.places, found.rest),
    )
    title = "Change of the velocity, as a share of what the whole prompt does"
    marks = [(float(advised), f"{advised}")] if advised <= found.places[-1] else []
    told = asdict(found) | {"enough": found.enough(_LITTLE), "prompts": len(prompts), "size": [width, height]}
    _keep(arguments, told, chart(title, "token of the prompt", lines, marks), tell)


def token_lines(found: Answers, advised: int) -> Iterator[str]:
    """The table and what it says in words; ``advised`` tokens are what people believe the model reads."""
    yield f"the whole prompt changes the velocity by {found.effect:.0%} of its length; of this change, replacing"
    yield f"{'tokens':>9}  {f'{found.width} there':>9}  {'all from there on':>17}"
    for first in range(0, found.length, _GROUP):
        inside = [
            value for place, value in zip(found.places, found.replaced, strict=True) if first <= place < first + _GROUP
        ]
        if inside:
            last = min(first + _GROUP, found.length)
            yield f"{f'{first + 1}-{last}':>9}  {sum(inside) / len(inside):>9.1%}  {found.rest_at(first):>17.1%}"
    enough = found.enough(_LITTLE)
    if enough >= found.length:
        some = "token changes" if found.width == 1 else f"{found.width} tokens change"
        yield f"every part counts: other words in place of the last {some} more than {_LITTLE:.0%}"
    else:
        yield f"beyond token {enough} other words change less than {_LITTLE:.0%} of what the whole prompt does"
    if advised < found.length:
        yield f"other words beyond token {advised} change {found.rest_at(advised):.1%}"


def _buckets(arguments: GenerateArguments, pipeline: Pipeline, model: TrainedModel, tell: Tell) -> None:
    studio = studio_of(pipeline, model)
    edge = round((arguments.sizes[0][0] * arguments.sizes[0][1]) ** 0.5)
    asked = sizes(edge, pipeline.family.facts.side_multiple)
    given = list(_subjects(arguments))
    found: list[tuple[Size, Measured]] = []
    for size in asked:
        subjects = [replace(one, image=cut(one.image, size)) for one in given]
        found.append((size, measure(studio, subjects or list(_drawn(arguments, pipeline, model, size)), size)))
    shapes = compared(found)
    kind = f"{len(given)} pictures" if given else "its own drawings"
    tell(f"loss on {kind}, cut to each shape at the same area; beside the square's")
    for line in shape_lines(shapes):
        tell(line)
    told = {"pictures": [one.name for one in given], "shapes": [asdict(shape) for shape in shapes]}
    _keep(arguments, told, None, tell)


def shape_lines(shapes: Sequence[Shape]) -> Iterator[str]:
    """The table, and which shapes are worse than the square by more than two standard errors."""
    yield f"{'size':>10}  {'loss':>7}  {'explained':>9}  above the square"
    for shape in shapes:
        error = shape.above_square.error
        above = f"{shape.above_square.value:+.4f}" + (f" +- {error:.4f}" if error is not None else "")
        yield f"{shape.size!s:>10}  {shape.loss.value:>7.4f}  {shape.explained:>9.1%}  {above}"
    worse = [str(shape.size) for shape in shapes if shape.above_square.exceeds(2)]
    yield f"surely harder than the square: {', '.join(worse)}" if worse else "no shape is surely harder than the square"


def _subjects(arguments: GenerateArguments) -> Iterator[Subject]:
    """The pictures given, each with the prompt given, else the text beside it, else the words of its name."""
    for file in arguments.images:
        with naming(str(file)):
            image = _opened(file)
        beside = file.with_suffix(".txt")
        own = beside.read_text("utf-8").strip() if beside.is_file() else file.stem.replace("_", " ")
        yield Subject(file.name, arguments.prompts[0] if arguments.prompts else own, image)


def _opened(file: Path) -> Image.Image:
    try:
        return open_rgb(file.read_bytes())
    except OSError as error:
        raise PictureError(f"cannot be read ({error})", cure="correct --image") from error


def _drawn(arguments: GenerateArguments, pipeline: Pipeline, model: TrainedModel, size: Size) -> Iterator[Subject]:
    """What the model itself draws at ``size``."""
    studio = studio_of(pipeline, model)
    for prompt in arguments.prompts or SHORT:
        sampling = Sampling(arguments.steps, arguments.guidance, arguments.seed, arguments.negative)
        spec = PromptSpec(safe_nickname(prompt), prompt)
        image, _ = drawn(model, studio, (spec, (size.width, size.height), sampling), arguments.strength)
        yield Subject(prompt, prompt, image)


def _artifacts(arguments: GenerateArguments, pipeline: Pipeline, tell: Tell) -> None:
    facts = pipeline.family.facts
    told: list[dict[str, object]] = []
    trips: list[RoundTrip] = []
    tell(f"{'picture':>24}  {'PSNR':>7}  {'worst part':>10}  fine detail kept")
    for file in arguments.images:
        found = round_trip(pipeline.codec, read_input(file, facts.native_edge, facts.side_multiple).image)
        trips.append(found)
        tell(artifact_line(file.name, found))
        path = free_file(arguments.output / f"artifacts_{safe_nickname(file.stem)}.png")
        save_picture(found.sheet(file.name), path, "png", 100, {})
        worst = [asdict(region) for region in found.worst]
        told.append({"picture": file.name, "psnr": found.psnr, "worst": worst, "fine_detail_kept": found.kept})
        tell(f"wrote {path}")
    tell(artifact_summary(trips))
    _keep(arguments, {"pictures": told}, None, tell)


def artifact_summary(trips: Sequence[RoundTrip]) -> str:
    """What at least one round trip says in words."""
    ratio = sum(found.psnr for found in trips) / len(trips)
    kept = [found.kept for found in trips if found.kept is not None]
    share = f", {sum(kept) / len(kept):.0%} of the fine detail" if kept else ""
    return f"kept on average: {ratio:.1f} dB{share}. No training can draw these pictures sharper than that"


def artifact_line(name: str, found: RoundTrip) -> str:
    """One row of the table."""
    kept = "none to keep" if found.kept is None else f"{found.kept:.0%}"
    return f"{name[-24:]:>24}  {found.psnr:>4.1f} dB  {found.worst[0].psnr:>7.1f} dB  {kept}"


def _keep(arguments: GenerateArguments, told: dict[str, object], picture: Image.Image | None, tell: Tell) -> None:
    path = free_file(arguments.output / f"probe_{arguments.probe}.json")
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_json(path, {"probe": arguments.probe, "model": arguments.base.name, **told})
    tell(f"wrote {path}")
    if picture is not None:
        save_picture(picture, path.with_suffix(".png"), "png", 100, {})
        tell(f"wrote {path.with_suffix('.png')}")
