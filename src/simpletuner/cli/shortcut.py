"""Console commands of their own for parts of `simpletuner`."""

from __future__ import annotations

import sys

from simpletuner.cli.main import run


def configure() -> None:
    """`simpletuner-configure` is `simpletuner configure`."""
    sys.exit(run(["configure", *sys.argv[1:]]))
