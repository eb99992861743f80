"""Variables of the environment that are this program's own, and those that somebody set and nothing reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from simpletuner.config.problems import near
from simpletuner.config.reading.environment import DIFFERENT_NAMES, EXTRA_ARGUMENTS, is_option, parse_env
from simpletuner.config.reading.find import Found
from simpletuner.config.reading.launch import VARIABLES
from simpletuner.config.reading.not_here import ABSENT_VARIABLES, PAGE
from simpletuner.config.reading.read import read_text
from simpletuner.config.reading.scripts import CHECKPOINT_PLACES, OF_UPLOADS
from simpletuner.config.run import OPTIONS
from simpletuner.core.errors import ConfigError

LEVEL = "SIMPLETUNER_LOG_LEVEL"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_PREFIX = "SIMPLETUNER_"
OURS = frozenset(
    f"{_PREFIX}{name}"
    for name in (
        "ENVIRONMENT ENV CONFIG_BACKEND CONFIG_DIR LOG_LEVEL JOB_ID ALLOW_MODIFYING_BSZ SSL_NO_VERIFY "
        "PROCESS_GROUP_TIMEOUT_SECONDS WATCH_TOKEN LAUNCHER_PIPE"
    ).split()
)
"""Every variable of this program's own name that it reads."""
# What a script that a run starts finds in its environment; it may start another run.
_OF_SCRIPTS = tuple(f"{_PREFIX}{name.upper()}" for name in (*CHECKPOINT_PLACES, *OF_UPLOADS, "validation_"))
# As near as this to the name of an option, a variable is taken for a slip of the finger.
_NEAR = 0.85


def log_level(environ: Mapping[str, str]) -> str:
    """The level that ``SIMPLETUNER_LOG_LEVEL`` asks for; empty when it asks for none. Raises ConfigError."""
    level = environ.get(LEVEL, "").strip().upper()
    if level and level not in LEVELS:
        cure = f"use {', '.join(LEVELS)}, or unset it"
        raise ConfigError(f"unknown level '{environ[LEVEL]}'", file="environment variable", key=LEVEL, cure=cure)
    return level


def variable_notices(found: Found) -> tuple[str, ...]:
    """A line for each variable that is set and does not do what its name promises.

    Looks at the environment and at the configuration's ``config.env``. Raises ConfigError for an unknown log level.
    """
    log_level(found.environ)
    file = found.folder / "config.env" if found.backend != "env" else found.file
    of_file = tuple(_of_file(file, found)) if file and file.is_file() and file not in found.unread else ()
    return (*_unread(found.environ), *of_file, *(_not_read(file) for file in found.unread))


def _unread(environ: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(environ):
        if not environ[name] or name in OURS:
            continue
        if name in ABSENT_VARIABLES:
            yield f"the environment variable {name} changes nothing: {ABSENT_VARIABLES[name]} ({PAGE})"
        elif name.startswith(_PREFIX) and not name.startswith(_OF_SCRIPTS):
            yield f"nothing reads the environment variable {name}{_hint(name)}"


def _hint(name: str) -> str:
    rest = {ours.removeprefix(_PREFIX): ours for ours in OURS}
    close = difflib.get_close_matches(name.removeprefix(_PREFIX), rest, n=1)
    return f"; {near(name, [rest[close[0]]])}" if close else ""


def _not_read(file: Path) -> str:
    where = "variables are read from config/config.env and, with env=NAME, from config/NAME/config.env"
    return f"{file} is not read: {where}"


def _of_file(file: Path, found: Found) -> Iterator[str]:
    """A file that is not the configuration gives variables alone: its options are not read."""
    variables = parse_env(read_text(file), file, found.environ)
    if file == found.file:
        yield from (f"{file}: {told}" for told in misspelt(variables))
        return
    options = [name for name in variables if is_option(name) and name not in VARIABLES.values()]
    if options:
        yield f"{file}: not read as options, because the configuration is {found.file}: {', '.join(options)}"


def misspelt(variables: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable that is no option and nearly the name of one."""
    known = [*(option.upper() for option in OPTIONS), *DIFFERENT_NAMES, EXTRA_ARGUMENTS]
    for name in variables:
        close = difflib.get_close_matches(name.upper(), known, n=1, cutoff=_NEAR)
        if close and not is_option(name):
            yield f"{name} is no option, and only a variable of the environment; {near(name, close)}"
