"""`simpletuner cache`, once the configuration is loaded. Importing this imports torch."""

from __future__ import annotations

from pathlib import Path

from simpletuner.assemble.data.cache_run import explain_file, fill, prune_caches
from simpletuner.cli.words import Words
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ConfigError
from simpletuner.observe.build import build_console
from simpletuner.observe.fan_out import FanOut


def cache(loaded: LoadedRun, words: Words) -> None:
    """Fill the caches of a run, or as its switches ask: remove what it does not use, explain one file."""
    explain, prune = words.values.get("explain"), "prune" in words.switches
    if explain is not None and prune:
        raise ConfigError("--prune and --explain are two commands", file="command line", cure="give one of them")
    told = FanOut([build_console()])
    try:
        if explain is not None:
            explain_file(loaded, Path(explain), told)
        elif prune:
            prune_caches(loaded, told)
        else:
            fill(loaded, told)
    finally:
        told.close()
