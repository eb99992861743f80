"""What people write for a number or a switch: "20", "4e-5", "false", "on", "" and null are all understood."""

from __future__ import annotations

import json
import math
from types import NoneType
from typing import Any, Literal, get_args, get_origin

_SWITCHES = {
    **dict.fromkeys(("true", "1", "yes", "y", "on"), True),
    **dict.fromkeys(("false", "0", "no", "n", "off"), False),
}
SWITCH_WORDS = frozenset(_SWITCHES)
_SHOWN = 60
LINES = "lines"
"""``Annotated[str, LINES]``: a text that may also be written as a list of its lines."""
OBJECT_TOO = "object too"
"""``Annotated[str, OBJECT_TOO]``: a text that may also be written as an object, and is then kept as JSON."""


def shown(value: object) -> str:
    """``value`` in quotes, shortened, for a message."""
    text = " ".join(str(value).split())
    return f"'{text[:_SHOWN]}...'" if len(text) > _SHOWN else f"'{text}'"


def is_given(value: object) -> bool:
    """Whether the user said anything: null, "" and white space mean that the option is not given."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def as_boolean(value: object) -> bool:
    """A switch. Raises ValueError naming the words that are allowed."""
    word = str(value).strip().lower()
    if isinstance(value, bool | int | float | str) and word in _SWITCHES:
        return _SWITCHES[word]
    raise ValueError(f"{shown(value)} is neither on nor off; allowed: true, false, yes, no, on, off, 1, 0")


def as_number(value: object) -> float:
    """A finite number. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{shown(value)} is not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(value)} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{shown(value)} is not a finite number")
    return number


def as_integer(value: object) -> int:
    """A whole number; 20, "20" and 20.0 are one. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = as_number(value)
    if not number.is_integer():
        raise ValueError(f"{shown(value)} is not a whole number")
    return int(number)


def as_text(value: object) -> str:
    """Text without the space around it; a list is joined with commas. Raises ValueError for an object."""
    if isinstance(value, list | tuple):
        return ",".join(as_text(item) for item in value)
    if isinstance(value, dict):
        raise ValueError("a text is expected, not an object in braces")
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def plain_type(annotation: Any) -> type:
    """``int`` for ``int``, ``int | None`` and ``Literal[16, 32]``; likewise for the other types."""
    if get_origin(annotation) is Literal:
        return type(get_args(annotation)[0])
    inner = [argument for argument in get_args(annotation) if argument is not NoneType]
    if inner:
        return plain_type(inner[0])
    return annotation if isinstance(annotation, type) else str


def allowed_values(annotation: Any) -> tuple[str, ...]:
    """The choices of a ``Literal``, also inside ``Literal[...] | None``; empty for any other type."""
    if get_origin(annotation) is Literal:
        return tuple(str(choice) for choice in get_args(annotation))
    return tuple(choice for argument in get_args(annotation) for choice in allowed_values(argument))


def _may_be(kind: str, annotation: Any) -> bool:
    return kind in get_args(annotation) or any(_may_be(kind, part) for part in get_args(annotation))


def _as_lines(value: object) -> str:
    """A list, also one in JSON as a command line has it, with its texts below each other."""
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return as_text(value)
    return "\n".join(as_text(item) for item in value) if isinstance(value, list) else as_text(value)


def _has_objects(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


def convert(value: object, annotation: Any) -> Any:
    """``value`` as the plain type of ``annotation``. Raises ValueError with a reason for the user."""
    if _has_objects(value) and _may_be(OBJECT_TOO, annotation):
        return json.dumps(value)
    if _may_be(LINES, annotation):
        return _as_lines(value)
    wanted = plain_type(annotation)
    if wanted is bool:
        return as_boolean(value)
    if wanted is int:
        return as_integer(value)
    if wanted is float:
        return as_number(value)
    return as_text(value)
