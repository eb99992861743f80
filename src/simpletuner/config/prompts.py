"""The user's library of validation prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simpletuner.config.names import is_comment
from simpletuner.config.problems import raise_all
from simpletuner.config.read import read_object
from simpletuner.core.errors import ConfigError

RESERVED = ("validation", "unconditional")
_UNSAFE = re.compile(r"[^\w.\-]+")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 64
_TEXT_KEYS = ("prompt", "caption", "tags")


@dataclass(frozen=True)
class LibraryPrompt:
    """A prompt and the short name that its pictures carry."""

    nickname: str
    prompt: str

    @property
    def file_name(self) -> str:
        """The nickname as a part of a file name."""
        return safe_name(self.nickname)


def safe_name(nickname: str) -> str:
    """``nickname`` as a part of a file name that every system takes: no separators, no leading dot, not too long."""
    name = _UNSAFE.sub("_", nickname).strip("._")[:_LONGEST] or "prompt"
    return f"{name}_" if _DEVICES.fullmatch(name) else name


def read_prompts(path: Path) -> tuple[LibraryPrompt, ...]:
    """The prompts of a library file, in its order. Raises ConfigError naming every entry that is wrong."""
    content = {key: value for key, value in read_object(path).items() if not is_comment(key)}
    prompts: list[LibraryPrompt] = []
    problems: list[ConfigError] = []
    for nickname, value in content.items():
        text = _text(value)
        if text is None:
            problems.append(ConfigError("has no prompt", file=path, key=nickname, cure='write "nickname": "prompt"'))
        else:
            prompts.append(LibraryPrompt(nickname, text))
    raise_all(problems + _clashes(prompts, path))
    return tuple(prompts)


def _text(value: object) -> str | None:
    if isinstance(value, Mapping):
        value = next((value[key] for key in _TEXT_KEYS if value.get(key)), None)
    return value.strip() if isinstance(value, str) and value.strip() else None


def _clashes(prompts: list[LibraryPrompt], path: Path) -> list[ConfigError]:
    problems: list[ConfigError] = []
    taken = dict.fromkeys(RESERVED, "the program itself")
    for prompt in prompts:
        name = prompt.file_name.lower()
        if name in taken:
            reason = f"its pictures would be named '{prompt.file_name}', as those of {taken[name]}"
            problems.append(ConfigError(reason, file=path, key=prompt.nickname, cure="choose another nickname"))
        taken.setdefault(name, f"'{prompt.nickname}'")
    return problems
