"""The run that the words of a command line select, loaded before anything heavy is imported."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from simpletuner.cli.early import require_possible
from simpletuner.cli.words import TRAIN, Extras, Words, parse_words
from simpletuner.config.describe import Description, descriptions
from simpletuner.config.load import COMMAND_LINE, LoadedRun, load_run
from simpletuner.core.errors import ConfigError

_SELECTORS = """\
Which run:
  (nothing)              config.json in this folder, then in config/
  env=NAME, --env NAME   the configuration config/NAME
  --config FILE          a configuration file, or its folder
  --example NAME, -e     a bundled example (simpletuner examples list)
  --fresh                start anew in an output folder that holds a run
  --yes-delete           let data sets delete files that they cannot use, if they ask to

Any option may follow, as key=value, --key=value or --key value; it wins over the file.
"""


def select_run(
    words: Sequence[str], cwd: Path, environ: Mapping[str, str], extras: Extras = TRAIN
) -> tuple[LoadedRun, Words]:
    """The checked run and the parsed words; ``extras`` are those of the command. Raises ConfigError."""
    parsed = parse_words(words, extras)
    loaded = load_run(parsed.selection, parsed.overrides, cwd, environ)
    try:
        require_possible(loaded, cwd)
    except ConfigError as error:
        if error.file:
            raise
        named = error.key in parsed.overrides or loaded.config_file is None
        file = COMMAND_LINE if named else loaded.config_file
        raise ConfigError(error.reason, file=file, key=error.key, cure=error.cure) from None
    return loaded, parsed


def help_text() -> str:
    """The selectors, and every option with its meaning, by section."""
    lines = [_SELECTORS]
    section = ""
    for described in descriptions():
        if described.section != section:
            section = described.section
            lines.append(f"\n{section.replace('_', ' ').capitalize()}:")
        lines.append(_line(described))
    return "\n".join(lines)


def _line(described: Description) -> str:
    allowed = f" One of: {', '.join(described.allowed)}." if len(described.allowed) > 1 else ""
    default = " Required." if described.default is None else f" [{described.default}]" if described.default else ""
    unread = "" if described.reads else " (not read in this version)"
    text = f"{described.meaning}{allowed}{default}{unread}".replace("`", "")
    told = textwrap.fill(text, 76, initial_indent="      ", subsequent_indent="      ")
    return f"  {described.name}={described.kind.upper().replace(' ', '-')}\n{told}"
