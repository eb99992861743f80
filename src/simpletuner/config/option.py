"""How an option is declared: one field says its type, default, allowed values, meaning and who reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

LATER = "is not available in this version"
EVERY_OPTION = "docs/options.md lists every option"
REQUIRED: Any = PydanticUndefined


class Section(BaseModel):
    """A frozen group of options. The text below a field is its meaning, for messages, help and documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


@dataclass(frozen=True)
class OptionFacts:
    """What an option's declaration says beside its type.

    ``reads`` names the rooms that read it; empty means that nothing does, and ``unread`` says why. ``refused`` maps
    values, as a user spells them, to the reason why they are refused; ``respelled`` maps other spellings of a value
    to ours.
    """

    reads: tuple[str, ...]
    unread: str
    refused: Mapping[str, str]
    respelled: Mapping[str, str]


def option(
    default: Any,
    *,
    reads: tuple[str, ...] = (),
    unread: str = "",
    refused: Mapping[str, str] | None = None,
    respelled: Mapping[str, str] | None = None,
    **limits: Any,
) -> Any:
    """A field with its :class:`OptionFacts`; ``limits`` are pydantic's ``ge``, ``gt``, ``le``, ``lt`` and ``examples``.

    ``default=REQUIRED`` makes an option that the user must give.
    """
    facts: dict[str, Any] = {
        "reads": list(reads),
        "unread": unread,
        "refused": dict(refused or {}),
        "respelled": dict(respelled or {}),
    }
    return Field(default, json_schema_extra=facts, **limits)


def facts_of(field: FieldInfo) -> OptionFacts:
    """The facts given to :func:`option` for ``field``."""
    extra = field.json_schema_extra
    if not isinstance(extra, dict):
        raise TypeError("every field of a section is declared with option(...)")
    said: dict[str, Any] = dict(extra)
    return OptionFacts(tuple(said["reads"]), said["unread"], said["refused"], said["respelled"])


def refuse_later(*values: str) -> dict[str, str]:
    """``refused`` for values that a later version will have."""
    return dict.fromkeys(values, LATER)


def spelled(value: object) -> str:
    """A converted value as a user writes it: ``true``, ``16``, ``center``."""
    return str(value).lower() if isinstance(value, bool) else str(value)
