"""Every option in words, from its one declaration: for help, documentation, editors and the wizard."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from simpletuner.config.lenient import allowed_values, plain_type
from simpletuner.config.option import Section, facts_of, spelled
from simpletuner.config.reading.environment import DIFFERENT_NAMES
from simpletuner.config.reading.launch import VARIABLES
from simpletuner.config.reading.names import OPPOSITES, RENAMED
from simpletuner.config.run import OPTIONS, Option

_KINDS = {bool: "true or false", int: "whole number", float: "number"}
_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Description:
    """One option: its flat name, section, kind of value, default, allowed values, meaning and readers.

    ``default`` is None for an option that must be given, and empty for one that is simply not set. ``limits`` are
    words ("at least 1"), ``unread`` why nothing reads it, ``refused`` values with the reason, ``respelled`` other
    spellings of values, ``former`` other names of the option, and ``variables`` the environment's names for it.
    """

    name: str
    section: str
    kind: str
    default: str | None
    allowed: tuple[str, ...]
    meaning: str
    reads: tuple[str, ...]
    limits: tuple[str, ...]
    unread: str
    refused: Mapping[str, str]
    respelled: Mapping[str, str]
    examples: tuple[Any, ...]
    former: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


def descriptions() -> Iterator[Description]:
    """Every option, in the order of the sections."""
    return (describe(option) for option in OPTIONS.values())


def describe(option: Option) -> Description:
    """The description of one option."""
    renamed = [old for old, name in {**RENAMED, **OPPOSITES}.items() if name == option.name]
    variables = [variable for variable, name in DIFFERENT_NAMES.items() if name == option.name]
    if option.name in VARIABLES:
        variables.append(VARIABLES[option.name])
    return _described(option.name, option.section, option.declared, tuple(renamed), tuple(dict.fromkeys(variables)))


def keys_of(kind: type[Section]) -> Iterator[Description]:
    """The keys of a section that is no part of the options: a data set's, a block's, the LyCORIS file's.

    Only those that ``kind`` itself declares; its bases are described on their own.
    """
    own = kind.__annotations__
    return (_described(name, kind.__name__, field) for name, field in kind.model_fields.items() if name in own)


def _described(
    name: str, section: str, declared: FieldInfo, former: tuple[str, ...] = (), variables: tuple[str, ...] = ()
) -> Description:
    facts = facts_of(declared)
    is_empty = declared.default in (None, ()) or isinstance(declared.default, Section)
    default = "" if is_empty else spelled(declared.default)
    return Description(
        name=name,
        section=section,
        kind=_kind(declared.annotation),
        default=None if declared.is_required() else default,
        allowed=allowed_values(declared.annotation),
        meaning=_SPACE.sub(" ", declared.description or "").strip(),
        reads=facts.reads,
        limits=_limits(declared),
        unread=facts.unread,
        refused=facts.refused,
        respelled=facts.respelled,
        examples=tuple(declared.examples or ()),
        former=former,
        variables=variables,
    )


def _kind(annotation: Any) -> str:
    parts = (annotation, *get_args(annotation))
    if any(isinstance(part, type) and issubclass(part, Section) for part in parts):
        return "object"
    if any(get_origin(part) is tuple for part in parts):
        return "text or list"
    return _KINDS.get(plain_type(annotation), "text")


def bounds(declared: FieldInfo) -> dict[str, float]:
    """The limits of a number as pydantic names them: ``ge``, ``gt``, ``le``, ``lt``."""
    rules = [asdict(rule) for rule in declared.metadata if is_dataclass(rule) and not isinstance(rule, type)]
    return {name: value for rule in rules for name, value in rule.items() if name in _LIMITS}


def _limits(declared: FieldInfo) -> tuple[str, ...]:
    return tuple(f"{_LIMITS[name]} {value:g}" for name, value in bounds(declared).items())
