"""The words of `simpletuner export`. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from simpletuner.assemble.commands.arguments import ExportArguments
from simpletuner.cli.base import adapter_file, find_base
from simpletuner.cli.help import EXPORT_HELP
from simpletuner.cli.number import Number

_PATH = click.Path(path_type=Path)


@click.command("simpletuner export", context_settings={"help_option_names": ["-h", "--help"]}, help=EXPORT_HELP)
@click.option("--adapter", type=_PATH, required=True, help="The adapter file, or the folder of a run.")
@click.option("--format", "to", type=click.Choice(["diffusers", "comfyui", "kohya", "merged"]), required=True)
@click.option("--output", type=_PATH, required=True, help="A .safetensors file, or a folder (merged, PEFT).")
@click.option("--model", help="tiny, v1, a folder in diffusers layout or a hub id; else what the file says.")
@click.option(
    "--layout",
    type=click.Choice(["diffusers", "official"]),
    default="diffusers",
    show_default=True,
    help="Names of layers: diffusers', or the official package's (qkv_proj); for comfyui, kohya and merged.",
)
@click.option("--strength", type=Number(), default=1.0, show_default=True, help="Of the adapter in a merged model.")
@click.option(
    "--dtype", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True, help="Of a merged model."
)
@click.option("--force", is_flag=True, help="Replace what is there.")
def _command(**words: Any) -> ExportArguments:
    model = words.pop("model")
    words["adapter"] = adapter_file(words["adapter"])
    return ExportArguments(base=find_base(model, words["adapter"], Path.cwd()), **words)


def parse(words: Sequence[str]) -> ExportArguments | None:
    """What the words ask for; None when they ask for help, which was given. Raises ConfigError, ClickException."""
    arguments = _command.main(list(words), prog_name="simpletuner export", standalone_mode=False)
    return arguments if isinstance(arguments, ExportArguments) else None
