"""More options: pick a section, see what each option means and what it is now, set it; the loader judges at once."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from simpletuner.assemble.configure import screens
from simpletuner.assemble.configure.answers import ALIASES, NAMES, typed
from simpletuner.assemble.configure.door import Door
from simpletuner.assemble.configure.files import CONFIG
from simpletuner.assemble.configure.steps import Choice
from simpletuner.assemble.configure.trial import Trial
from simpletuner.config.describe import Description, describe
from simpletuner.config.option import spelled
from simpletuner.config.run import OPTIONS, SECTIONS
from simpletuner.core.errors import SimpletunerError

_BACK = "back"
_UNSET = "(not set)"
_LONGEST = 34
_LONGEST_NOTE = 52
# The file's own names: the wizard writes these files.
_OURS = ("data_backend_config", "lycoris_config")


def ask_more(trial: Trial, door: Door, more: dict[str, Any], files: Callable[[], Mapping[str, Any]]) -> None:
    """Let the user set options in ``more``, which ``files`` heeds, until they go back."""
    while True:
        door.screen("More options", "by section")
        sections = [Choice(name, name, _first_line(kind.__doc__)) for name, kind in SECTIONS.items()]
        section = door.choose("Which section?", [Choice(_BACK, "back to the answers"), *sections], _BACK)
        if section == _BACK:
            return
        _section(trial, door, section, more, files)


def _first_line(text: str | None) -> str:
    return textwrap.shorten((text or "").strip().splitlines()[0], _LONGEST_NOTE, placeholder=" ...")


def _section(
    trial: Trial, door: Door, section: str, more: dict[str, Any], files: Callable[[], Mapping[str, Any]]
) -> None:
    name = _BACK
    while True:
        now = files()[CONFIG]
        found = [describe(option) for option in OPTIONS.values() if option.section == section and _is_free(option.name)]
        choices = [
            Choice(one.name, one.name, str(now.get(one.name, one.default or _UNSET))[:_LONGEST]) for one in found
        ]
        door.screen("More options", section)
        name = door.choose("Which option?", [Choice(_BACK, "back to the sections"), *choices], name)
        if name == _BACK:
            return
        _set(trial, door, next(one for one in found if one.name == name), more, files)


def _is_free(name: str) -> bool:
    """Whether the option is no answer of the wizard's, which it asks for itself."""
    return ALIASES.get(name, name) not in NAMES and name not in _OURS


def _set(
    trial: Trial, door: Door, one: Description, more: dict[str, Any], files: Callable[[], Mapping[str, Any]]
) -> None:
    """Ask for the value of one option until the loader takes it; an empty one gives it back its default."""
    former, had = more.get(one.name), one.name in more
    trouble: SimpletunerError | None = None
    while True:
        door.screen(one.name, one.section)
        door.show(screens.pairs(_told(one)))
        if trouble is not None:
            door.show(screens.problem(trouble))
        text = _value(door, one, spelled(files()[CONFIG].get(one.name, "")))
        more.pop(one.name, None)
        if text:
            more[one.name] = typed(one.name, text)
        try:
            trial.load(files())
        except SimpletunerError as error:
            trouble = error
            more.pop(one.name, None)
            if had:
                more[one.name] = former
            continue
        return


def _told(one: Description) -> list[tuple[str, str]]:
    rows = [("meaning", one.meaning.replace("`", "")), ("value", ", ".join((one.kind, *one.limits)))]
    rows.append(("default", one.default or _UNSET))
    if one.examples:
        rows.append(("for instance", str(one.examples[0])))
    return [*rows, *([("not read", one.unread)] if one.unread else [])]


def _value(door: Door, one: Description, now: str) -> str:
    allowed = ("true", "false") if one.kind == "true or false" else one.allowed
    if not allowed:
        return door.write("Value? (empty is the default)", now, lambda _text: "")
    choices = [Choice("", "the default", one.default or ""), *(Choice(value, value) for value in allowed)]
    return door.choose("Which value?", choices, now if now in allowed else "")
