"""Every option in words, from its one declaration: for help, documentation, editors and the wizard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simpletuner.config.lenient import allowed_values, plain_type
from simpletuner.config.option import facts_of, spelled
from simpletuner.config.run import OPTIONS, Option

_KINDS = {bool: "true or false", int: "whole number", float: "number"}


@dataclass(frozen=True)
class Description:
    """One option: its flat name, section, kind of value, default, allowed values, meaning and readers.

    ``default`` is None for an option that must be given, and empty for one that is simply not set.
    """

    name: str
    section: str
    kind: str
    default: str | None
    allowed: tuple[str, ...]
    meaning: str
    reads: tuple[str, ...]


def descriptions() -> Iterator[Description]:
    """Every option, in the order of the sections."""
    return (describe(option) for option in OPTIONS.values())


def describe(option: Option) -> Description:
    """The description of one option."""
    declared = option.declared
    default = "" if declared.default is None else spelled(declared.default)
    return Description(
        name=option.name,
        section=option.section,
        kind=_KINDS.get(plain_type(declared.annotation), "text"),
        default=None if declared.is_required() else default,
        allowed=allowed_values(declared.annotation),
        meaning=" ".join((declared.description or "").split()),
        reads=facts_of(declared).reads,
    )
