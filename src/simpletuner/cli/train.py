"""`simpletuner train`, once the configuration is loaded. Importing this imports torch."""

from __future__ import annotations

import sys

import click

from simpletuner.assemble.run import run
from simpletuner.config.load import LoadedRun


def train(loaded: LoadedRun, *, fresh: bool, delete: bool) -> None:
    """Train the run; ``fresh`` moves an earlier run in the output folder aside, once confirmed.

    ``delete`` lets data sets that ask for it delete pictures that cannot be used.
    """
    run(loaded, fresh=fresh, delete=delete, confirm=_confirm)


def _confirm(question: str) -> bool:
    """Ask on a terminal; nobody can answer elsewhere."""
    return sys.stdin.isatty() and click.confirm(question)
