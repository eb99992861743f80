"""Loose values in, a frozen section out, every mistake collected in words a user can act on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from simpletuner.config.lenient import allowed_values, convert, is_given, plain_type, shown
from simpletuner.config.option import EVERY_OPTION, Section, facts_of, spelled
from simpletuner.config.problems import near
from simpletuner.core.errors import ConfigError

_S = TypeVar("_S", bound=Section)
_MOST_CHOICES = 20
_WORDS = {"gt": "above", "lt": "below"}
_LIMITS = {
    "greater_than_equal": ("ge", "must be at least"),
    "greater_than": ("gt", "must be above"),
    "less_than_equal": ("le", "must be at most"),
    "less_than": ("lt", "must be below"),
}


@dataclass(frozen=True)
class Source:
    """Where values come from, for messages: the file, words put before each key, and keys from elsewhere."""

    file: str
    prefix: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)

    def problem(self, key: str, reason: str, cure: str | None = None) -> ConfigError:
        """A ConfigError about ``key`` that names its file."""
        return ConfigError(reason, file=self.origins.get(key, self.file), key=self.prefix + key, cure=cure)


def fill(kind: type[_S], values: Mapping[str, Any], source: Source) -> tuple[_S | None, list[ConfigError]]:
    """Build a ``kind`` from the values that are its fields; others are ignored.

    Returns the section, or None, and every problem found.
    """
    problems: list[ConfigError] = []
    converted: dict[str, Any] = {}
    for key, declared in kind.model_fields.items():
        if not is_given(values.get(key)):
            # An empty text clears an option that may be None but is not None by default (resume_from_checkpoint).
            if (
                values.get(key) is not None
                and declared.default is not None
                and NoneType in get_args(declared.annotation)
            ):
                converted[key] = None
            continue
        try:
            converted[key] = _value(values[key], declared)
        except ValueError as error:
            problems.append(source.problem(key, str(error), _cure(key, declared)))
    already = {problem.key for problem in problems}
    try:
        return kind(**converted), problems
    except ValidationError as error:
        told = [_explain(kind, details, source) for details in error.errors(include_url=False)]
        return None, problems + [problem for problem in told if problem.key not in already]


def _value(value: object, declared: FieldInfo) -> Any:
    facts = facts_of(declared)
    if isinstance(value, str):
        value = facts.respelled.get(value.strip(), value)
    converted = convert(value, declared.annotation)
    if reason := facts.refused.get(spelled(converted)):
        raise ValueError(f"{shown(spelled(converted))} {reason}")
    return converted


def _cure(key: str, declared: FieldInfo) -> str:
    """How the value is written. A long list of choices would bury the substitute that a refusal names."""
    allowed = allowed_values(declared.annotation)
    if allowed:
        return f"use {' or '.join(allowed)}" if len(allowed) <= _MOST_CHOICES else f"choose another; {EVERY_OPTION}"
    default = declared.default
    if plain_type(declared.annotation) in (int, float):
        usual = "" if default is None or declared.is_required() else f", for instance {default:g}"
        return f"write a number{usual}"
    if plain_type(declared.annotation) is bool:
        refused = facts_of(declared).refused
        return f"write {' or '.join(word for word in ('true', 'false') if word not in refused)}"
    return f'write "{key}": "..."'


def _explain(kind: type[Section], details: ErrorDetails, source: Source) -> ConfigError:
    key = str(details["loc"][0])
    declared = kind.model_fields[key]
    if details["type"] == "missing":
        return source.problem(key, f"is missing: {meaning(declared)}", _example(key, declared))
    value = spelled(details["input"])
    if details["type"] in _LIMITS:
        name, words = _LIMITS[details["type"]]
        limit = f"{details['ctx'][name]:g}"
        return source.problem(key, f"{shown(value)} is out of range: it {words} {limit}", _within(name, limit))
    allowed = allowed_values(declared.annotation)
    if allowed:
        hint = near(value, [*allowed, *facts_of(declared).refused])
        reason = f"unknown value {shown(value)}; allowed: {', '.join(allowed)}"
        return source.problem(key, reason, hint or "use one of these")
    return source.problem(key, f"{shown(value)}: {details['msg']}", _cure(key, declared))


def _within(limit: str, value: str) -> str:
    return {"ge": f"use {value} or more", "le": f"use {value} or less"}.get(
        limit, f"use a number {_WORDS.get(limit)} {value}"
    )


def meaning(declared: FieldInfo) -> str:
    """The first sentence of an option's meaning."""
    text = " ".join((declared.description or "").split())
    return text.split(". ")[0].rstrip(".")


def _example(key: str, declared: FieldInfo) -> str:
    value = (declared.examples or [*allowed_values(declared.annotation), "..."])[0]
    return f'add "{key}": {json.dumps(value)}'
