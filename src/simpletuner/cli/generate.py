"""The words of `simpletuner generate`. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from simpletuner.assemble.commands.arguments import GenerateArguments
from simpletuner.cli.base import adapter_file, find_base, require_file
from simpletuner.cli.number import Number
from simpletuner.config.reading.resolutions import parse_resolutions
from simpletuner.config.sections.validation import ValidationConfig
from simpletuner.core.errors import ConfigError
from simpletuner.data.sources.kinds import PICTURE_SUFFIXES, is_hidden, suffix
from simpletuner.validation.recipe import read_recipe

_PATH = click.Path(path_type=Path)
_PROBES = ("tokens", "buckets", "artifacts")
_USUAL = ValidationConfig()
_SHOWN: dict[str, Any] = {"show_default": True}
# What each way of asking reads, beside the model, the adapter and the folder for the answer.
_READ: Mapping[str, frozenset[str]] = {
    "like": frozenset({"like", "images"}),
    "probe tokens": frozenset({"probe", "prompts", "resolution", "seed", "count", "strength"}),
    "probe buckets": frozenset(
        {"probe", "prompts", "resolution", "seed", "steps", "guidance", "negative", "strength", "images"}
    ),
    "probe artifacts": frozenset({"probe", "images"}),
}
_FOR_ALL = frozenset({"model", "adapter", "output"})


@click.command("simpletuner generate", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--model", help="tiny, v1, a folder in diffusers layout or a hub id; else what the adapter says, else v1."
)
@click.option("--adapter", type=_PATH, help="The adapter file, or the folder of a run.")
@click.option("--prompt", "prompts", multiple=True, help="May be given several times.")
@click.option("--output", type=_PATH, required=True, help="The folder for the pictures.")
@click.option("--like", type=_PATH, help="Make this picture again, to the pixel: everything is taken from it.")
@click.option("--resolution", default=_USUAL.validation_resolution, help="For example 1024x1024,1280x768.", **_SHOWN)
@click.option("--steps", type=click.IntRange(1), default=_USUAL.validation_num_inference_steps, **_SHOWN)
@click.option("--guidance", type=Number(0), default=_USUAL.validation_guidance, **_SHOWN)
@click.option("--image-guidance", type=Number(0), default=_USUAL.validation_image_guidance, **_SHOWN)
@click.option("--seed", type=int, default=0, **_SHOWN)
@click.option("--count", type=click.IntRange(1), default=1, help="Pictures of each, with the next seeds.", **_SHOWN)
@click.option("--strength", type=Number(), default=_USUAL.validation_lycoris_strength, help="Of the adapter.", **_SHOWN)
@click.option("--negative-prompt", "negative", help="What to guide away from; else the model's own.")
@click.option("--image", "images", type=_PATH, multiple=True, help="An input picture; may be given several times.")
@click.option(
    "--probe",
    type=click.Choice(_PROBES),
    help="Ask the weights instead: how much each token of a prompt counts, how well each shape of picture is known, or "
    "what the VAE loses. The last two take pictures or folders with --image.",
)
@click.pass_context
def _command(context: click.Context, /, **words: Any) -> GenerateArguments:
    """Draw pictures with a base model and an adapter, with the sampler and the defaults of validation.

    What drew a picture is written inside it; --like reads it back.
    """
    _require_read(context, words)
    _require_folder(words["output"])
    if words["adapter"] is not None:
        words["adapter"] = adapter_file(words["adapter"])
    if words["like"] is not None:
        require_file(words["like"], "--like")
    if words["probe"] is not None:
        words["images"] = tuple(file for image in words["images"] for file in _pictures(image))
    for image in words["images"]:
        require_file(image, "--image")
    sizes = parse_resolutions(words.pop("resolution"))
    model = words.pop("model")
    if words["like"] is not None:
        model = _model_of(words["like"], model)
    elif words["probe"] is not None:
        _require_subject(words)
    elif not words["prompts"]:
        raise ConfigError("is missing", key="--prompt", cure='for example --prompt "a red apple", or --like PICTURE')
    return GenerateArguments(base=find_base(model, words["adapter"], Path.cwd()), sizes=sizes, **words)


def _pictures(named: Path) -> Iterator[Path]:
    """A file, or the pictures of a folder."""
    if not named.is_dir():
        yield named
        return
    files = [file for file in named.iterdir() if not is_hidden(file.name)]
    found = sorted(file for file in files if suffix(file.name) in PICTURE_SUFFIXES)
    if not found:
        raise ConfigError("holds no picture", file=named, key="--image", cure="name a folder with pictures, or files")
    yield from found


def _require_read(context: click.Context, words: Mapping[str, Any]) -> None:
    """Refuse words that the picture of --like, or the question of --probe, would not heed."""
    asked = "like" if words["like"] is not None else f"probe {words['probe']}"
    if asked not in _READ:
        return
    for option in context.command.params:
        is_given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if is_given and option.name not in _READ[asked] | _FOR_ALL:
            raise ConfigError(f"is not read by --{asked}", key=option.opts[0], cure="remove one of the two")


def _require_folder(output: Path) -> None:
    """Refuse a file in the place of a folder."""
    there = next((path for path in (output, *output.parents) if path.exists()), None)
    if there is not None and not there.is_dir():
        raise ConfigError("is a file", file=there, key="--output", cure="name a folder; it is made where there is none")


def _require_subject(words: Mapping[str, Any]) -> None:
    """Refuse a probe that would look at nothing."""
    if words["probe"] == "artifacts" and not words["images"]:
        raise ConfigError("is missing", key="--image", cure="name pictures, or a folder with some, for the VAE to lose")
    if words["probe"] == "tokens" and not all(prompt.strip() for prompt in words["prompts"]):
        raise ConfigError("has no words to ask about", key="--prompt", cure="write some, or leave --prompt out")


def _model_of(like: Path, named: str | None) -> str | None:
    """The base model of a picture. Raises ConfigError when it was a model whose own weights were trained."""
    recipe = read_recipe(like)
    if named is None and recipe.options.get("model_type") == "full":
        reason = f"was drawn by a model all of whose weights were trained, at step {recipe.step}"
        raise ConfigError(reason, file=like, key="--model", cure="name the folder of that model with --model")
    return named or recipe.model or None


def parse(words: Sequence[str]) -> GenerateArguments | None:
    """What the words ask for; None when they ask for help, which was given. Raises ConfigError, ClickException."""
    arguments = _command.main(list(words), prog_name="simpletuner generate", standalone_mode=False)
    return arguments if isinstance(arguments, GenerateArguments) else None
