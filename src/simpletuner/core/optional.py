"""The one door to packages that are installed only by those who need them."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from simpletuner.core.errors import ConfigError


def optional(module: str, *, extra: str, needed_for: str) -> Any:
    """The module, imported now. Raises :class:`ConfigError` naming the extra that brings it when it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name.partition(".")[0]):
            raise
        raise ConfigError(
            f"the package '{module}' is not installed",
            key=needed_for,
            cure=f"in the checkout of simpletuner: {sys.executable} -m pip install -c constraints.txt '.[{extra}]'",
        ) from None
