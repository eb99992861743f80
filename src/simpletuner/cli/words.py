"""The words of a command line that selects a run: ``env=NAME``, ``key=value``, ``--key value``, ``--flag``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simpletuner.config.lenient import SWITCH_WORDS, plain_type
from simpletuner.config.reading.find import Selection
from simpletuner.config.reading.names import bare_name
from simpletuner.config.run import OPTIONS
from simpletuner.core.errors import ConfigError

_SELECTORS = {
    "env": "env",
    "config": "config",
    "example": "example",
    "e": "example",
    "config_backend": "config_backend",
}


@dataclass(frozen=True)
class Extras:
    """The words of one command beside selectors and options: ``switches``, and those that need a value."""

    switches: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()


TRAIN = Extras(switches=frozenset({"fresh", "yes_delete"}))
CACHE = Extras(switches=frozenset({"prune"}), valued=frozenset({"explain"}))
PLAN = Extras(switches=frozenset({"alternatives", "json", "largest"}))
CHECK = Extras(switches=frozenset({"deep", "json", "lokr", "no_scan"}), valued=frozenset({"html"}))


@dataclass(frozen=True)
class Words:
    """What the words say: the configuration to take, the options to set, and the command's own words."""

    selection: Selection
    overrides: dict[str, str]
    switches: frozenset[str]
    values: dict[str, str] = field(default_factory=dict)


@dataclass
class _Reader:
    """Reads words from left to right; a later word wins over an earlier one."""

    words: list[str]
    extras: Extras
    selectors: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    switches: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)

    def read_all(self) -> None:
        while self.words:
            key, equals, value = self.words.pop(0).partition("=")
            dashed = key.startswith("-")
            name = bare_name(key)
            if not name:
                raise ConfigError(f"'{key}{equals}{value}' is no option", file="command line", cure="write key=value")
            if not equals:
                value = self._following(name, dashed=dashed)
            self._place(name, value)

    def _place(self, name: str, value: str) -> None:
        if name in _SELECTORS:
            self.selectors[_SELECTORS[name]] = value
        elif name in self.extras.valued:
            self.values[name] = value
        elif name in self.extras.switches:
            self.switches.discard(name)
            self.switches |= {name} if value.lower() in ("true", "1", "yes", "y", "on") else set()
        else:
            self.overrides[name] = value

    def _following(self, name: str, *, dashed: bool) -> str:
        """The value of a word without ``=``: the next word, or "true" for a switch that stands alone."""
        is_switch = name in self.extras.switches or (
            name in OPTIONS and plain_type(OPTIONS[name].declared.annotation) is bool
        )
        if self._takes_next(name, is_switch=is_switch) and dashed:
            return self.words.pop(0)
        if is_switch or not self._is_known(name):
            return "true"
        raise ConfigError("needs a value", file="command line", key=name, cure=f"write {name}=VALUE")

    def _takes_next(self, name: str, *, is_switch: bool) -> bool:
        following = self.words[0] if self.words else "--"
        if is_switch:
            return following.lower() in SWITCH_WORDS
        return not following.startswith("--") and (self._is_known(name) or "=" not in following)

    def _is_known(self, name: str) -> bool:
        return name in OPTIONS or name in _SELECTORS or name in self.extras.valued


def parse_words(words: Sequence[str], extras: Extras = TRAIN) -> Words:
    """Sort the words into selection, options and those of the command; keys keep no dashes. Raises ConfigError."""
    reader = _Reader(list(words), extras)
    reader.read_all()
    chosen = reader.selectors
    selection = Selection(
        environment=chosen.get("env"),
        config_file=Path(chosen["config"]) if "config" in chosen else None,
        example=chosen.get("example"),
        backend=chosen.get("config_backend"),
    )
    return Words(selection, reader.overrides, frozenset(reader.switches), reader.values)
