"""The user's library of validation prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simpletuner.config.names import is_comment
from simpletuner.config.problems import raise_all
from simpletuner.config.read import read_object
from simpletuner.core.errors import ConfigError

_TEXT_KEYS = ("prompt", "caption", "tags")


@dataclass(frozen=True)
class LibraryPrompt:
    """A prompt and the nickname from which its pictures are named."""

    nickname: str
    prompt: str


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
        else:
            prompts.append(LibraryPrompt(nickname, text))
    raise_all(problems)
    return tuple(prompts)


def _text(value: object) -> str | None:
    if isinstance(value, Mapping):
        value = next((value[key] for key in _TEXT_KEYS if value.get(key)), None)
    return value.strip() if isinstance(value, str) and value.strip() else None
