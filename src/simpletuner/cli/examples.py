"""`simpletuner examples`: list the bundled examples, copy one."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import click

from simpletuner.config.reading.find import example_folder, example_names
from simpletuner.config.reading.read import read_object
from simpletuner.core.errors import ConfigError


def list_examples() -> None:
    """Print the names of the examples; beside them, as notes, what each is and how to use one."""
    for name in example_names():
        click.echo(name)
        about = read_object(example_folder(name) / "config.json")["__about"]
        click.echo(textwrap.fill(about, 76, initial_indent="  ", subsequent_indent="  "), err=True)
    click.echo("\nrun one: simpletuner train --example NAME\ncopy one: simpletuner examples copy NAME DEST", err=True)


def copy_example(name: str, destination: Path) -> None:
    """Copy the example ``name`` to the folder ``destination``, which must be absent or empty.

    Raises ConfigError.
    """
    folder = example_folder(name)
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise ConfigError("exists and is not an empty folder", file=destination, cure="choose another name")
    try:
        shutil.copytree(folder, destination, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        raise ConfigError(f"cannot be written: {error}", file=destination) from None
    click.echo(f"copied to {destination}; run it: simpletuner train --config {destination / 'config.json'}")
