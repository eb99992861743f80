"""The user's library of validation prompts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simpletuner.config.problems import raise_all
from simpletuner.config.reading.names import is_comment
from simpletuner.config.reading.read import read_object
from simpletuner.core.errors import ConfigError

_TEXT_KEYS = ("prompt", "caption", "tags")


@dataclass(frozen=True)
class LibraryPrompt:
    """A prompt and the nickname from which its pictures are named.

    ``adapter_strength`` is that of the adapter while it is drawn; None leaves it to ``validation_lycoris_strength``.
    """

    nickname: str
    prompt: str
    adapter_strength: float | None = None


def read_prompts(path: Path) -> tuple[LibraryPrompt, ...]:
    """The prompts of a library file, in its order. Raises ConfigError naming every entry that is wrong."""
    content = {key: value for key, value in read_object(path).items() if not is_comment(key)}
    prompts: list[LibraryPrompt] = []
    problems: list[ConfigError] = []
    for nickname, value in content.items():
        text = _text(value)
        if not nickname.strip():
            problems.append(ConfigError("a prompt has no nickname", file=path, cure='write "nickname": "prompt"'))
        elif text is None:
            problems.append(ConfigError("has no prompt", file=path, key=nickname, cure='write "nickname": "prompt"'))
        elif not _is_strength(value):
            key, cure = f"{nickname}.adapter_strength", "write a number: 1 is the adapter as it was trained"
            problems.append(ConfigError("is no strength of an adapter", file=path, key=key, cure=cure))
        else:
            prompts.append(LibraryPrompt(nickname, text, _strength(value)))
    raise_all(problems)
    return tuple(prompts)


def _strength(value: object) -> float | None:
    given = value.get("adapter_strength") if isinstance(value, Mapping) else None
    return None if given is None else float(given)


def _is_strength(value: object) -> bool:
    """Whether an entry has no strength of its own, or a finite number."""
    try:
        strength = _strength(value)
    except (TypeError, ValueError):
        return False
    return strength is None or math.isfinite(strength)


def _text(value: object) -> str | None:
    if isinstance(value, Mapping):
        value = next((value[key] for key in _TEXT_KEYS if value.get(key)), None)
    return value.strip() if isinstance(value, str) and value.strip() else None
