"""``caption_filter_list``: what is taken out of captions, or replaced in them, before they are used (SPEC 3.9.6)."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simpletuner.core.errors import ConfigError
from simpletuner.data.entries import printable

_KEY = "caption_filter_list"
# A slash inside either part is written "\/"; "g" is what sed's users add, and changes nothing here.
_REPLACEMENT = re.compile(r"s/((?:[^/\\]|\\.)+)/((?:[^/\\]|\\.)*)(?:/g?)?", re.DOTALL)
_SPECIAL = frozenset(r"\.^$*+?{}[]|()")


@dataclass(frozen=True)
class Filter:
    """One entry as written. What its ``patterns`` match, one after the other, becomes the template ``replacement``."""

    entry: str
    patterns: tuple[re.Pattern[str], ...]
    replacement: str = ""


def read_filters(value: object, folder: Path) -> tuple[tuple[Filter, ...], tuple[str, ...]]:
    r"""The filters that ``caption_filter_list`` asks for, and notes for the user.

    ``value`` is a list of entries, or the path of a ``.txt`` file (an entry a line, spaces kept, blank lines
    skipped) or of a ``.json`` file (an array of entries), relative to ``folder``. An entry is removed wherever it
    occurs as it is written and, being a valid regular expression too, wherever it matches; ``s/search/replace/`` and
    ``s/search/replace`` replace every occurrence, with ``\1`` for a group. What is no valid regular expression is
    used as plain text, and noted. Patterns are the user's own: one that needs exponential time takes it.

    Raises:
        ConfigError: the file cannot be read, or the value is no list of texts.
    """
    read = [_filter(entry) for entry in _entries(value, folder) if entry]
    return tuple(item for item, _ in read), tuple(note for _, note in read if note)


def apply_filters(caption: str, filters: Sequence[Filter]) -> str:
    """``caption`` after all filters in order, stripped; "" when nothing is left.

    Every occurrence is removed or replaced (SPEC 10.3 item 46). Where a removal leaves spaces on both sides, one
    stays; other runs of spaces are left as they are.
    """
    for item in filters:
        for pattern in item.patterns:
            caption = _substitute(caption, pattern, item.replacement)
    return caption.strip()


def _substitute(caption: str, pattern: re.Pattern[str], template: str) -> str:
    pieces: list[str] = []
    end, removed = 0, False
    for found in pattern.finditer(caption):
        replacement = found.expand(template)
        if not replacement and not found.group():
            continue
        _add(pieces, caption[end : found.start()], after_removal=removed)
        if replacement:
            pieces.append(replacement)
        end, removed = found.end(), not replacement
    _add(pieces, caption[end:], after_removal=removed)
    return "".join(pieces)


def _add(pieces: list[str], piece: str, *, after_removal: bool) -> None:
    if after_removal and piece.startswith(" ") and pieces and pieces[-1].endswith(" "):
        pieces[-1] = pieces[-1].rstrip(" ") + " "
        piece = piece.lstrip(" ")
    if piece:
        pieces.append(piece)


def _filter(entry: str) -> tuple[Filter, str | None]:
    if parts := _REPLACEMENT.fullmatch(entry):
        return _replacing(entry, *(part.replace("\\/", "/") for part in parts.groups()))
    plain = re.compile(re.escape(entry))
    if _SPECIAL.isdisjoint(entry):
        return Filter(entry, (plain,)), None
    try:
        return Filter(entry, (plain, _compiled(entry))), None
    except (re.error, OverflowError, RecursionError) as error:
        return Filter(entry, (plain,)), _note(entry, f"no valid regular expression ({error})", "it")


def _replacing(entry: str, search: str, template: str) -> tuple[Filter, str | None]:
    literal = template.replace("\\", r"\\")
    try:
        pattern = _compiled(search)
    except (re.error, OverflowError, RecursionError) as error:
        plain = re.compile(re.escape(search))
        return Filter(entry, (plain,), literal), _note(entry, f"no valid regular expression ({error})", "its search")
    try:
        pattern.sub(template, "")
    except (re.error, IndexError) as error:
        return Filter(entry, (pattern,), literal), _note(entry, f"no valid replacement ({error})", "its replacement")
    return Filter(entry, (pattern,), template), None


def _compiled(entry: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        # "[[" may mean something else in a later Python: no news for whoever filters captions.
        warnings.simplefilter("ignore")
        return re.compile(entry)


def _note(entry: str, reason: str, what: str) -> str:
    return f'{_KEY}: "{printable(entry)}" is {reason}; {what} is used as plain text'


def _entries(value: object, folder: Path) -> list[str]:
    if isinstance(value, str):
        return _read(folder / value)
    return _texts(value, None)


def _texts(value: object, file: Path | None) -> list[str]:
    if isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, str) for item in value):
        return list(value)
    raise ConfigError(
        "is no list of texts",
        file=file,
        key=_KEY,
        cure="give a JSON array of texts, or the path of a .txt or .json file",
    )


def _read(file: Path) -> list[str]:
    kind = file.suffix.lower()
    if kind not in (".txt", ".json"):
        raise ConfigError(
            "is neither .txt nor .json", file=file, key=_KEY, cure="rename it, or give the entries as a JSON array"
        )
    try:
        if not file.is_file():
            raise ConfigError("is no file", file=file, key=_KEY, cure="create it or correct the path")
        text = file.read_text(encoding="utf-8-sig")
        return _texts(json.loads(text), file) if kind == ".json" else _lines(text)
    except OSError as error:
        reason = f"cannot be read ({error.strerror or type(error).__name__})"
        raise ConfigError(reason, file=file, key=_KEY, cure="check that it exists and may be read") from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8", file=file, key=_KEY, cure="save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is no JSON ({error})", file=file, key=_KEY, cure="write an array of texts") from error


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]
