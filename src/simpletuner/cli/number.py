"""A number on the command line of `generate` and `export`. No torch here."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.FloatRange):
    """A number that can be counted with: click takes ``nan`` and ``inf`` for some."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Raises BadParameter."""
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return found
