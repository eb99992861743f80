"""Names of options: their spellings, their former names, and those that this version does not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simpletuner.config.lenient import as_boolean, is_given
from simpletuner.config.option import EVERY_OPTION
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.not_here import absent, cure
from simpletuner.config.reading.other_names import ELSEWHERE, meant
from simpletuner.config.run import OPTIONS
from simpletuner.core.errors import ConfigError

RENAMED = {
    "validation_steps": "validation_step_interval",
    "checkpointing_steps": "checkpoint_step_interval",
    "save_total_limit": "checkpoints_total_limit",
    "hub_model_name": "hub_model_id",
}
"""Former names of options."""
OPPOSITES = {"vae_cache_preprocess": "vae_cache_ondemand", "ignore_final_epochs": "strict_epoch_limit"}
"""Former names of switches that have been turned round."""
DATASET_ONLY = frozenset(
    "repeats crop crop_aspect crop_style probability id type dataset_type instance_data_dir metadata_backend "
    "is_regularisation_data is_regularization_data disabled vae_cache_clear_each_epoch scan_for_errors".split()
)
"""Keys of a data set that stand in config.json, where nothing reads them."""


@dataclass(frozen=True)
class Named:
    """Values under the names of options; ``problems`` and ``notices`` are what was found on the way."""

    values: Mapping[str, Any]
    problems: tuple[ConfigError, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass
class _Gathered:
    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    problems: list[ConfigError] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def bare_name(key: str) -> str:
    """The key without leading dashes and with underscores: ``--report-to`` is ``report_to``."""
    return key.strip().lstrip("-").replace("-", "_")


def is_comment(key: str) -> bool:
    """Keys that begin with ``__`` are notes of the user, and those with ``$`` of an editor (``$schema``)."""
    return key.startswith(("__", "$"))


def name_options(given: Mapping[str, Any], source: Source) -> Named:
    """Put the pairs of one file, or of the command line, under the names of options; nothing is converted."""
    gathered = _Gathered()
    for key, value in given.items():
        if not is_comment(key):
            _place(gathered, key, value, source)
    if gathered.unread:
        gathered.notices.append(
            f"{', '.join(gathered.unread)}: belongs into an entry of the dataloader file, and is not read here"
        )
    return Named(gathered.values, tuple(gathered.problems), tuple(gathered.notices))


def _place(gathered: _Gathered, key: str, value: Any, source: Source) -> None:
    name = bare_name(key)
    if name in OPPOSITES:
        _turn_round(gathered, name, value, source)
        return
    if name in RENAMED:
        gathered.notices.append(f"{name} is now called {RENAMED[name]}")
        name = RENAMED[name]
    if name in OPTIONS:
        _set(gathered, name, key, value, source)
    elif name in DATASET_ONLY:
        gathered.unread.append(name)
    elif group := absent(name):
        if is_on(value):
            gathered.problems.append(source.problem(key, group.reason, cure(group)))
    else:
        hint = meant(name, [*OPTIONS, *RENAMED], ELSEWHERE)
        gathered.problems.append(source.problem(key, "unknown option", hint or f"remove it; {EVERY_OPTION}"))


def _set(gathered: _Gathered, name: str, key: str, value: Any, source: Source) -> None:
    if name in gathered.written:
        both = f"is given twice, as '{gathered.written[name]}' and as '{key}'"
        gathered.problems.append(source.problem(name, both, "keep one of them"))
    gathered.written[name] = key
    gathered.values[name] = value


def _turn_round(gathered: _Gathered, name: str, value: Any, source: Source) -> None:
    ours = OPPOSITES[name]
    try:
        turned = is_given(value) and not as_boolean(value)
    except ValueError as error:
        gathered.problems.append(source.problem(name, str(error)))
        return
    gathered.notices.append(f"{name} is now {ours}, its opposite")
    _set(gathered, ours, name, turned, source)


def is_on(value: Any) -> bool:
    """Whether a value asks for something: not null, "", false, 0, "none" or an empty list."""
    word = str(value).strip().lower()
    return is_given(value) and value not in ([], {}) and word not in {"none", "0", "0.0", "false", "no", "off", "n"}
