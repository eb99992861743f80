"""The JSON Schema of one value, as leniently as the program reads it."""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from simpletuner.config.datasets.blocks import AspectChoice
from simpletuner.config.describe import bounds
from simpletuner.config.lenient import OBJECT_TOO, SWITCH_WORDS, allowed_values, plain_type
from simpletuner.config.option import Section, facts_of

Schema = dict[str, Any]

_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_NUMBER: Schema = {"$ref": "#/$defs/number"}
_OPEN: Schema = {"$ref": "#/$defs/open"}
SWITCH: Schema = {"$ref": "#/$defs/switch"}
OFF: Schema = {"enum": [None, "", False, 0, "false", "none", "no", "off", "0", [], {}]}
COMMENTS: Schema = {"^(__|\\$)": True}
_TEXTS: Schema = {"type": ["string", "number", "boolean"]}
_LISTS: Schema = {"type": "array", "items": _TEXTS}


def _any_case(word: str) -> str:
    return "".join(f"[{sign.lower()}{sign.upper()}]" if sign.isalpha() else sign for sign in word)


# The usual words of a switch first, which an editor offers; then every word in every case.
_WORDS = "|".join(_any_case(word) for word in sorted(SWITCH_WORDS))
SHARED: Schema = {
    "switch": {
        "anyOf": [
            {"type": "boolean"},
            {"enum": ["true", "false", 0, 1]},
            {"type": "string", "pattern": rf"^\s*({_WORDS})\s*$"},
        ]
    },
    "number": {"type": "string", "pattern": r"^\s*[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"},
    "open": {
        "description": "Not given, or taken from the environment.",
        "anyOf": [{"type": "null"}, {"type": "string", "pattern": r"^\s*$|\{env:[^{}]+\}"}],
    },
}
"""Parts that every schema refers to, under its ``$defs``."""


def value_schema(declared: FieldInfo) -> Schema:
    """What may be written for a field, with its meaning, default and examples."""
    facts = facts_of(declared)
    schema: Schema = {"anyOf": [*_forms(declared), _OPEN]}
    switched_off = {word for word in facts.refused if word in SWITCH_WORDS}
    if plain_type(declared.annotation) is bool and switched_off:
        schema["not"] = {"enum": [*({"true": True, "false": False}[word] for word in switched_off), *switched_off]}
    told = [" ".join((declared.description or "").split())]
    if not facts.reads:
        told.append(f"Not read: {facts.unread}.")
        schema["deprecated"] = True
    schema["description"] = " ".join(told)
    if _is_plain(declared.default):
        schema["default"] = declared.default
    if declared.examples:
        schema["examples"] = declared.examples
    return schema


def _is_plain(default: Any) -> bool:
    return isinstance(default, bool | int | float | str)


def _forms(declared: FieldInfo) -> list[Schema]:
    annotation = declared.annotation
    if allowed := allowed_values(annotation):
        return [_choice(allowed, facts_of(declared).respelled, plain_type(annotation))]
    blocks = [part for part in (annotation, *get_args(annotation)) if isinstance(part, type)]
    if block := next((part for part in blocks if issubclass(part, Section)), None):
        return [object_schema(block), SWITCH]
    return _of_type(declared)


def _of_type(declared: FieldInfo) -> list[Schema]:
    annotation = declared.annotation
    parts = [part for part in (annotation, *get_args(annotation)) if get_origin(part) is tuple]
    if parts:
        return _many(parts[0])
    plain = SecretStr if SecretStr in _leaves(annotation) else plain_type(annotation)
    if plain is bool:
        return [SWITCH]
    if plain in (int, float):
        limits = {_LIMITS[name]: value for name, value in bounds(declared).items()}
        kind = "integer" if plain is int else "number"
        return [{"type": kind, **limits}, _NUMBER]
    texts = [_TEXTS, _LISTS]
    return [*texts, {"type": ["object", "array"]}] if OBJECT_TOO in _leaves(annotation) else texts


def _leaves(annotation: Any) -> list[Any]:
    found = [annotation]
    for part in get_args(annotation):
        found += _leaves(part)
    return [part for part in found if part is not NoneType]


def _choice(allowed: Iterable[str], respelled: Iterable[str], kind: type) -> Schema:
    words: list[Any] = [*allowed, *respelled]
    return {"enum": [*words, *(int(word) for word in allowed)] if kind is int else words}


def _many(annotation: Any) -> list[Schema]:
    """A text or a list of texts; aspects; thresholds by name."""
    item = get_args(annotation)[0]
    if item is AspectChoice:
        aspect = {"type": "object", "required": ["aspect"], "additionalProperties": False}
        number = [{"type": "number"}, _NUMBER]
        aspect["properties"] = {"aspect": {"anyOf": number}, "weight": {"anyOf": [*number, _OPEN]}}
        return [{"type": "array", "items": {"anyOf": [*number, aspect]}}]
    if item is not str:
        return [{"type": "object"}]
    return [_TEXTS, _LISTS]


def object_schema(kind: type[Section], *, without: Iterable[str] = ()) -> Schema:
    """An object with the fields of ``kind`` but for ``without``; notes are allowed, other keys are not."""
    skipped = set(without)
    fields = {name: field for name, field in kind.model_fields.items() if name not in skipped}
    schema: Schema = {
        "type": "object",
        "properties": {name: value_schema(field) for name, field in fields.items()},
        "patternProperties": dict(COMMENTS),
        "additionalProperties": False,
    }
    if required := [name for name, field in fields.items() if field.is_required()]:
        schema["required"] = required
    return schema
