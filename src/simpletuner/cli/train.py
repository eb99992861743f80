"""`simpletuner train`, once the configuration is loaded. Importing this imports torch."""

from __future__ import annotations

import sys

import click

from simpletuner.assemble import run
from simpletuner.config.load import LoadedRun


def train(loaded: LoadedRun, *, fresh: bool) -> None:
    """Train the run; ``fresh`` moves an earlier run in the output folder aside, once confirmed."""
    run(loaded, fresh=fresh, confirm=_confirm)


def _confirm(question: str) -> bool:
    """Ask on a terminal; nobody can answer elsewhere."""
    return sys.stdin.isatty() and click.confirm(question)
