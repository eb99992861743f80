"""``config.env`` files, and options that environment variables carry. The process environment is never changed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from simpletuner.config.reading.names import OPPOSITES, RENAMED
from simpletuner.config.run import OPTIONS
from simpletuner.core.errors import ConfigError

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<append>\+?)=(?P<value>.*)", re.DOTALL)
# Not splitlines: it tears a value at a form feed, at U+0085 and at U+2028 too.
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_REFERENCE = re.compile(r"\{env:([^{}]+)\}")
DIFFERENT_NAMES = {
    "TRAINING_DYNAMO_BACKEND": "dynamo_backend",
    "MODEL_NAME": "pretrained_model_name_or_path",
    "DATALOADER_CONFIG": "data_backend_config",
    "RESUME_CHECKPOINT": "resume_from_checkpoint",
    "TRAINING_SEED": "seed",
    "MAX_NUM_STEPS": "max_train_steps",
    "NUM_EPOCHS": "num_train_epochs",
    "CHECKPOINTING_STEPS": "checkpoint_step_interval",
    "CHECKPOINTING_LIMIT": "checkpoints_total_limit",
    "PUSH_CHECKPOINTS": "push_checkpoints_to_hub",
    "HUB_MODEL_NAME": "hub_model_id",
    "USE_GRADIENT_CHECKPOINTING": "gradient_checkpointing",
    "MINIMUM_RESOLUTION": "minimum_image_size",
    "LR_SCHEDULE": "lr_scheduler",
    "TRAINING_NUM_PROCESSES": "num_processes",
    "TRAINING_NUM_MACHINES": "num_machines",
    "ACCELERATE_CONFIG_PATH": "accelerate_config",
}
"""Names in a ``config.env`` that are not the option's own in capitals."""
EXTRA_ARGUMENTS = "TRAINER_EXTRA_ARGS"


def parse_env(text: str, file: Path, former: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of an env file. ``former`` are the values that ``NAME+=value`` adds to.

    Raises ConfigError with the line's number.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(_LINE_BREAK.split(text), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise ConfigError("is not NAME=value", file=f"{file}:{number}", cure="write one NAME=value on each line")
        before = variables.get(match["name"], (former or {}).get(match["name"], "")) if match["append"] else ""
        variables[match["name"]] = before + _unquoted(match["value"].strip())
    return variables


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def options_of(variables: Mapping[str, str], file: Path) -> dict[str, str]:
    """The options among the variables of an env file; other names are plain environment variables."""
    options = {name: value for name, value in variables.items() if is_option(name) and name != EXTRA_ARGUMENTS}
    given = {DIFFERENT_NAMES.get(name, name.lower()): value for name, value in options.items()}
    return given | extra_arguments(variables.get(EXTRA_ARGUMENTS, ""), file)


def is_option(name: str) -> bool:
    """Whether a variable of an env file gives an option: its name, or a former name, in capitals."""
    known = (OPTIONS, RENAMED, OPPOSITES)
    own = name == name.upper() and any(name.lower() in names for names in known)
    return own or name in DIFFERENT_NAMES or name == EXTRA_ARGUMENTS


def extra_arguments(text: str, file: Path) -> dict[str, str]:
    """``--key=value``, ``--key value`` and bare ``--flag`` of one string, split as a shell splits it."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"cannot be split: {error}", file=file, key=EXTRA_ARGUMENTS) from None
    given: dict[str, str] = {}
    key = ""
    for word in words:
        if word.startswith("--"):
            key, equals, value = word.partition("=")
            given[key] = value if equals else "true"
        elif key:
            given[key], key = word, ""
        else:
            raise ConfigError(f"'{word}' follows no --option", file=file, key=EXTRA_ARGUMENTS)
    return given


def with_env_files(environ: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    """``environ`` and the variables of those ``files`` that exist; what the process already has wins."""
    variables: dict[str, str] = {}
    for file in files:
        if file.is_file():
            former = {**variables, **environ}
            variables |= parse_env(file.read_text("utf-8", errors="replace"), file, former)
    return {**variables, **environ}


def substitute(value: object, environ: Mapping[str, str], words: Mapping[str, str] | None = None) -> object:
    """Replace ``{env:NAME}`` (empty when unset) and ``{word}`` for each of ``words`` in every text of ``value``."""
    if isinstance(value, list):
        return [substitute(item, environ, words) for item in value]
    if isinstance(value, dict):
        return {key: substitute(item, environ, words) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    text = _REFERENCE.sub(lambda match: environ.get(match[1].strip(), ""), value)
    for word, replacement in (words or {}).items():
        text = text.replace(f"{{{word}}}", replacement)
    return text
