"""The `simpletuner` command. It alone imports a sub-command's module, and only when that one is chosen."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from simpletuner import __version__
from simpletuner.core.errors import ExitCode, Interrupted, SimpletunerError, Terminated

_CHECK_HELP = """Check a run: its files, every data set, and what becomes of each picture. Trains nothing.

The run is selected as for train. The report is printed, and written to report.json in the output folder.

\b
Switches:
  --deep       decode every picture once: damaged files, near-duplicates,
               pictures that are in a training and an evaluation set
  --json       print the report as JSON, and nothing else
  --html FILE  also write a page with every picture and its crop

\b
Exit codes: 0 everything can train (pictures may be left out), 2 the
configuration is wrong, 3 a data set cannot be used.
"""
_CACHE_HELP = """Fill the caches of a run and stop: latents, masks and tokens of every data set.

The run is selected as for train. Processes that torchrun starts share the work.

\b
Switches:
  --prune         instead, remove what no data set of this run uses from its
                  cache folders
  --explain FILE  instead, say why a picture, or a cache entry, is (not) used
"""
# Options of a run are words of their own kind, which click does not know.
_TAKES_WORDS: dict[str, Any] = {
    "context_settings": {"ignore_unknown_options": True, "allow_interspersed_args": False},
    "options_metavar": "",
}
_TRAIN_WORDS = ("--env", "--config", "--example", "-e", "--fresh")


class _Train(click.Command):
    """Its help lists every option, so it is made only when asked for."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        formatter.write_paragraph()
        formatter.write(importlib.import_module("simpletuner.cli.select").help_text())


class _Group(click.Group):
    """`simpletuner env=NAME` is `simpletuner train env=NAME`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and _selects(args[0]):
            args = ["train", *args]
        return super().parse_args(ctx, args)


def _selects(word: str) -> bool:
    return "=" in word or word in _TRAIN_WORDS


def _with_models(module: str) -> Any:
    """Import a module that loads model libraries, without what they log then.

    They tell of compiled parts for other devices and of each other's news; what is really missing, they raise.
    """
    logging.disable(logging.WARNING)
    try:
        return importlib.import_module(module)
    finally:
        logging.disable(logging.NOTSET)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="simpletuner")
def cli() -> None:
    """Train OmniGen adapters on your own pictures.

    Start with: simpletuner train --example emoji-style
    """


@cli.command(
    cls=_Train,
    **_TAKES_WORDS,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[env=NAME] [key=value]... [--fresh]")
@click.pass_context
def train(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Train: the configuration is found, checked and obeyed."""
    if "--help" in words or "-h" in words:
        click.echo(ctx.get_help())
        return
    loaded, parsed = importlib.import_module("simpletuner.cli.select").select_run(words, Path.cwd(), os.environ)
    # Importing torch and the model libraries takes seconds; say at once that something happens.
    click.echo(f"simpletuner {__version__}: {loaded.name}")
    switches = parsed.switches
    _with_models("simpletuner.cli.train").train(loaded, fresh="fresh" in switches, delete="yes_delete" in switches)


@cli.command(
    help=_CHECK_HELP,
    short_help="Check a run and its data sets, without training.",
    **_TAKES_WORDS,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[env=NAME] [key=value]... [SWITCHES]")
@click.pass_context
def check(ctx: click.Context, words: tuple[str, ...]) -> int:
    """Check the run that ``words`` select; its exit code."""
    if "--help" in words or "-h" in words:
        click.echo(ctx.get_help())
        return ExitCode.OK
    code: int = importlib.import_module("simpletuner.cli.check").check(words, Path.cwd(), os.environ)
    return code


@cli.command(
    help=_CACHE_HELP,
    short_help="Fill the caches of a run, and stop.",
    **_TAKES_WORDS,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[env=NAME] [key=value]... [SWITCHES]")
@click.pass_context
def cache(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Fill, prune or explain the caches of the run that ``words`` select."""
    if "--help" in words or "-h" in words:
        click.echo(ctx.get_help())
        return
    extras = importlib.import_module("simpletuner.cli.words").CACHE
    loaded, parsed = importlib.import_module("simpletuner.cli.select").select_run(words, Path.cwd(), os.environ, extras)
    click.echo(f"simpletuner {__version__}: {loaded.name}")
    _with_models("simpletuner.cli.cache").cache(loaded, parsed)


@cli.group()
def examples() -> None:
    """Bundled examples."""


@examples.command("list")
def list_examples() -> None:
    """Print the bundled examples."""
    importlib.import_module("simpletuner.cli.examples").list_examples()


@examples.command("copy")
@click.argument("name")
@click.argument("destination", type=click.Path(path_type=Path), metavar="DEST")
def copy_example(name: str, destination: Path) -> None:
    """Copy the example NAME into the folder DEST."""
    importlib.import_module("simpletuner.cli.examples").copy_example(name, destination)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; a bug of ours is the only exception that escapes."""
    try:
        outcome = cli.main(list(arguments), prog_name="simpletuner", standalone_mode=False)
    except click.Abort:
        click.echo("interrupted before training; what was cached is kept, and the same command goes on", err=True)
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (Interrupted, Terminated) as error:
        click.echo(str(error), err=True)
        return error.exit_code
    except SimpletunerError as error:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(error), err=True)
        return error.exit_code
    return outcome if isinstance(outcome, int) else ExitCode.OK


def main() -> None:
    """The console command `simpletuner`."""
    sys.exit(run(sys.argv[1:]))


def train_main() -> None:
    """The console command `simpletuner-train`: `simpletuner train`."""
    sys.exit(run(["train", *sys.argv[1:]]))
