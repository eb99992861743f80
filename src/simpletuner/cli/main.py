"""The `simpletuner` command. It alone imports a sub-command's module, and only when that one is chosen."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from simpletuner import __version__
from simpletuner.cli.help import CACHE_HELP, CHECK_HELP, COMPLETION_HELP, CONFIGURE_HELP, PLAN_HELP
from simpletuner.core.errors import ExitCode, Interrupted, SimpletunerError, Terminated

# Options of a run are words of their own kind, which click does not know.
_TAKES_WORDS: dict[str, Any] = {
    "context_settings": {"ignore_unknown_options": True, "allow_interspersed_args": False},
    "options_metavar": "",
}
# Set by the launcher of several processes, which has said what begins.
_PIPE = "SIMPLETUNER_LAUNCHER_PIPE"
_TRAIN_WORDS = ("--env", "--config", "--example", "-e", "--fresh")


class _TakesRun(click.Command):
    """Its words select a run and set options of it, which a shell completes. Among them may stand `--help`."""

    def invoke(self, ctx: click.Context) -> Any:
        if {"--help", "-h"} & set(ctx.params["words"]):
            click.echo(ctx.get_help())
            return ExitCode.OK
        return super().invoke(ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        found: list[Any] = _complete(ctx, None, incomplete)
        return found


def _complete(ctx: click.Context, _parameter: click.Parameter | None, incomplete: str) -> list[Any]:
    words = ctx.params.get("words") or ()
    module = importlib.import_module("simpletuner.cli.completion")
    found: list[Any] = module.complete(ctx.info_name or "", words, incomplete, Path.cwd())
    return found


def _words(metavar: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.argument("words", nargs=-1, type=click.UNPROCESSED, shell_complete=_complete, metavar=metavar)


class _Train(_TakesRun):
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


@cli.command(cls=_Train, **_TAKES_WORDS)
@_words("[env=NAME] [key=value]... [--fresh]")
def train(words: tuple[str, ...]) -> int:
    """Train: the configuration is found, checked and obeyed."""
    loaded, parsed = importlib.import_module("simpletuner.cli.select").select_run(words, Path.cwd(), os.environ)
    # Importing torch and the model libraries takes seconds; say at once that something happens.
    if (launched := _begin("train", words, loaded)) is not None:
        return launched
    switches = parsed.switches
    _with_models("simpletuner.cli.train").train(loaded, fresh="fresh" in switches, delete="yes_delete" in switches)
    return ExitCode.OK


def _begin(command: str, words: Sequence[str], loaded: Any) -> int | None:
    """Say what begins, once. Where a run has several processes, run them to their end; their exit code."""
    importlib.import_module("simpletuner.cli.logs").set_level(loaded.environ)
    if os.environ.get("RANK", "0") == "0" and _PIPE not in os.environ:
        click.echo(f"simpletuner {__version__}: {loaded.name}")
    launching = importlib.import_module("simpletuner.cli.launch")
    if launching.is_needed(loaded.config.machine, os.environ):
        return int(launching.launch([command, *words], loaded.config.machine, os.environ))
    importlib.import_module("simpletuner.cli.follow").follow_launcher(os.environ)
    return None


@cli.command(cls=_TakesRun, help=CONFIGURE_HELP, short_help="Write a configuration, step by step.", **_TAKES_WORDS)
@_words("[PATH] [--yes] [name=value]...")
def configure(words: tuple[str, ...]) -> int:
    """Make or edit the configuration at PATH; the exit code."""
    return int(importlib.import_module("simpletuner.cli.configure").configure(words, Path.cwd(), os.environ))


@cli.command(cls=_TakesRun, help=CHECK_HELP, short_help="Check a run and its data sets.", **_TAKES_WORDS)
@_words("[env=NAME] [key=value]... [SWITCHES]")
def check(words: tuple[str, ...]) -> int:
    """Check the run that ``words`` select; its exit code."""
    return int(importlib.import_module("simpletuner.cli.check").check(words, Path.cwd(), os.environ))


@cli.command(cls=_TakesRun, help=PLAN_HELP, short_help="Measure what a run costs on this machine.", **_TAKES_WORDS)
@_words("[env=NAME] [key=value]... [SWITCHES]")
def plan(words: tuple[str, ...]) -> int:
    """Measure the run that ``words`` select; the exit code."""
    extras = importlib.import_module("simpletuner.cli.words").PLAN
    loaded, parsed = importlib.import_module("simpletuner.cli.select").select_run(words, Path.cwd(), os.environ, extras)
    if "json" not in parsed.switches:
        click.echo(f"simpletuner {__version__}: {loaded.name}")
    return int(_with_models("simpletuner.cli.plan").plan(loaded, parsed, words))


@cli.command(cls=_TakesRun, help=CACHE_HELP, short_help="Fill the caches of a run, and stop.", **_TAKES_WORDS)
@_words("[env=NAME] [key=value]... [SWITCHES]")
def cache(words: tuple[str, ...]) -> int:
    """Fill, prune or explain the caches of the run that ``words`` select."""
    extras = importlib.import_module("simpletuner.cli.words").CACHE
    loaded, parsed = importlib.import_module("simpletuner.cli.select").select_run(words, Path.cwd(), os.environ, extras)
    # One process looks: --prune and --explain know everything alone.
    launched = _begin("cache", words, loaded) if not (parsed.switches or parsed.values) else None
    if launched is not None:
        return launched
    _with_models("simpletuner.cli.cache").cache(loaded, parsed)
    return ExitCode.OK


@cli.command(short_help="Show a run in the browser, live or finished.")
@click.option("--output-dir", type=click.Path(path_type=Path), help="Also show what this output folder holds.")
@click.option("--port", type=click.IntRange(0, 65535), default=8737, show_default=True, help="0 takes a free one.")
def watch(output_dir: Path | None, port: int) -> None:
    """Show a run in the browser: loss, speed, pictures, previews. Listens on this machine only.

    Prints the address of the page, and what to write into the configuration of a run that shall be shown live.
    """
    importlib.import_module("simpletuner.cli.watch").watch(output_dir, port, os.environ)


@cli.command(short_help="Draw pictures with an adapter, or one once more.", add_help_option=False, **_TAKES_WORDS)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def generate(words: tuple[str, ...]) -> None:
    """Draw pictures with a base model and an adapter."""
    arguments = importlib.import_module("simpletuner.cli.generate").parse(words)
    if arguments is None:
        return
    if arguments.probe is not None:
        _with_models("simpletuner.assemble.commands.probes").probe(arguments, click.echo)
    elif arguments.like is None:
        _with_models("simpletuner.assemble.commands.generate").generate(arguments, click.echo)
    else:
        _with_models("simpletuner.assemble.commands.regenerate").generate_like(arguments, arguments.like, click.echo)


@cli.command(short_help="Convert an adapter for other programs.", add_help_option=False, **_TAKES_WORDS)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def export(words: tuple[str, ...]) -> None:
    """Convert an adapter for other programs."""
    arguments = importlib.import_module("simpletuner.cli.export").parse(words)
    if arguments is not None:
        _with_models("simpletuner.assemble.commands.export").export(arguments, click.echo)


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


@cli.command(help=COMPLETION_HELP, short_help="Print what makes TAB complete commands and options.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print a script for ``shell``."""
    click.echo(importlib.import_module("simpletuner.cli.completion").script(shell, cli))


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
