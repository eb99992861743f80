"""`simpletuner configure`: the wizard at a terminal, or `--yes` without questions."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from simpletuner.assemble.configure import screens
from simpletuner.assemble.configure.answers import COMMAND_LINE, parse_words
from simpletuner.assemble.configure.cards import detect
from simpletuner.assemble.configure.existing import files_held, given_by, read_existing
from simpletuner.assemble.configure.guards import all_warnings
from simpletuner.assemble.configure.saving import Change, save
from simpletuner.assemble.configure.suggest import Facts, complete
from simpletuner.assemble.configure.target import Target, find_target
from simpletuner.assemble.configure.terminal import Terminal
from simpletuner.assemble.configure.trial import Trial
from simpletuner.assemble.configure.wizard import Wizard, converse, settle
from simpletuner.cli.early import require_possible
from simpletuner.core.errors import ConfigError, ExitCode, Interrupted

_WIDTH = 80


@dataclass(frozen=True)
class Wanted:
    """What the words say: where, the answers, options beside them, and whether nothing shall be asked."""

    path: Path | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    asks: bool = True


def parse_line(words: Sequence[str]) -> Wanted:
    """``[PATH] [--yes] [name=value]...`` in any order. Raises ConfigError for anything else."""
    pairs: dict[str, str] = {}
    paths: list[str] = []
    asks = True
    for word in words:
        name, equals, value = word.partition("=")
        if word in ("--yes", "-y"):
            asks = False
        elif equals:
            pairs[name] = value
        elif word.startswith("-"):
            raise ConfigError(f"'{word}' is no word of configure", file=COMMAND_LINE, cure="write name=value")
        else:
            paths.append(word)
    if len(paths) > 1:
        reason = f"{' and '.join(paths)} are two configurations"
        raise ConfigError(reason, file=COMMAND_LINE, cure="name one; an answer is written name=value")
    given, more = parse_words(pairs)
    return Wanted(Path(paths[0]) if paths else None, given, more, asks)


def configure(words: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> int:
    """Make or edit a configuration; the exit code. Raises SimpletunerError; nothing is written then."""
    wanted = parse_line(words)
    if wanted.asks and not (sys.stdin.isatty() and sys.stdout.isatty()):
        cure = "in a script: simpletuner configure --yes pictures=FOLDER name=value ... (docs/configure.md)"
        raise ConfigError("asks questions, and this is no terminal", file=COMMAND_LINE, key="configure", cure=cure)
    target = find_target(wanted.path, cwd)
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), target, cwd, environ, lambda loaded: require_possible(loaded, cwd))
        wizard = _begun(trial, wanted)
        try:
            made = converse(wizard, Terminal()) if wanted.asks else _answered(wizard)
        except (KeyboardInterrupt, EOFError):
            raise Interrupted("left; nothing was written") from None
    if made is None:
        click.echo("nothing was written")
        return ExitCode.OK
    return _saved(made, target)


def _begun(trial: Trial, wanted: Wanted) -> Wizard:
    """The wizard with what an existing configuration says, and what the words say over it."""
    existing = read_existing(trial.target, trial.cwd)
    if existing.unknown:
        told = f"{trial.target.file}: left out, because unknown here: {', '.join(existing.unknown)}"
        click.secho(told, fg="yellow", err=True)
    facts, given, before = Facts(detect()), dict(wanted.given), None
    if trial.target.file.is_file():
        loaded = trial.load(files_held(existing, trial.cwd, trial.folder))
        held = given_by(loaded, existing)
        before = complete(held, facts)
        given = held | given
    return Wizard(trial, existing, facts, given, dict(wanted.more), before)


def _answered(wizard: Wizard) -> tuple[Change, ...]:
    """No questions: what is missing is an error, and what is suggested is told."""
    if not wizard.answers().pictures:
        cure = "add pictures=FOLDER, the folder of your pictures"
        raise ConfigError("pictures is missing", file=COMMAND_LINE, key="--yes", cure=cure)
    console = Console(width=_WIDTH, highlight=False)
    try:
        reports = settle(wizard)
    except ConfigError as error:
        file = error.file or COMMAND_LINE
        raise ConfigError(error.reason, file=file, key=error.key, cure=error.cure) from None
    answers = wizard.answers()
    console.print(screens.looked_at(reports))
    console.print(screens.summary(answers, wizard.facts))
    if told := all_warnings(answers, wizard.facts, wizard.trial.cwd):
        console.print(screens.worth(told))
    return wizard.changes()


def _saved(made: Sequence[Change], target: Target) -> int:
    kept = save(made)
    for change in made:
        click.echo(f"wrote {change.path}")
    for path in kept:
        click.echo(f"kept the former {path}")
    if not made:
        click.echo(f"{target.file} says all of this already")
    click.echo(f"\nnext:  {target.command('check')}\nthen:  {target.command('train')}")
    return ExitCode.OK
