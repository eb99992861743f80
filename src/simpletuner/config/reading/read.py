"""Files to plain objects, with the line and the column of what is wrong in them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from simpletuner.config.reading.environment import options_of, parse_env
from simpletuner.core.errors import ConfigError

_BOM = b"\xef\xbb\xbf"
_WORDS = {"True": "true", "False": "false", "None": "null"}
# What Python's reader says at the place, and what a person does about it.
_CURES = {
    "Expecting property name": 'write "name": value, the name in double quotes',
    "Expecting ':' delimiter": 'write "name": value',
    "Expecting ',' delimiter": "put a comma before it, or remove it",
    "Expecting value": "write a value there: text in double quotes, a number, true, false, null, [ ... ] or { ... }",
    "Extra data": "remove what stands behind the end",
    "Unterminated string": "close the text with a double quote on the same line",
    "Invalid control character": "write \\n for a new line and \\t for a tab",
    "Invalid \\": "write \\\\ for a backslash",
}

_TOML = 'write name = value on a line of its own: "text" in double quotes, a number, true or false, [ ... ]'


class _DuplicateKeyError(ValueError):
    """A key stands twice in one object."""


def read_text(path: Path) -> str:
    """The UTF-8 text of ``path``. Raises ConfigError for a folder, a byte-order mark and other encodings."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=path) from None
    if content.startswith((_BOM, b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError("starts with a byte-order mark", file=path, cure="save it as UTF-8 without BOM")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        where = f"line {content[: error.start].count(10) + 1}"
        raise ConfigError(f"is not UTF-8 text ({where})", file=path, cure="save it as UTF-8") from None


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises ConfigError with line and column."""
    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        _explain(text, error, path)
    except _DuplicateKeyError as error:
        lines = ", ".join(str(line) for line in _lines_of_key(text, str(error)))
        reason = f"stands twice in one object (lines {lines})"
        raise ConfigError(reason, file=path, key=str(error), cure="keep one of them") from None
    except ValueError as error:
        raise ConfigError(str(error), file=path, cure="write a number, or null") from None
    except RecursionError:
        raise ConfigError("is nested too deeply", file=path, cure="remove brackets") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateKeyError(next(key for key in keys if keys.count(key) > 1))
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON has")


def _lines_of_key(text: str, key: str) -> list[int]:
    found = re.finditer(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", text)
    return [text.count("\n", 0, match.start()) + 1 for match in found]


def _explain(text: str, error: json.JSONDecodeError, path: Path) -> NoReturn:
    position = min(error.pos, len(text))
    before = text[:position].rstrip()
    # Python 3.13 points at the comma itself, earlier versions at the bracket behind it.
    comma = error.pos if text[position : position + 1] == "," else len(before) - 1
    after = text[comma + 1 :].lstrip()[:1]
    if 0 <= comma < len(text) and text[comma] == "," and after in ("}", "]"):
        _raise_at(text, comma, path, f"a comma before the closing '{after}'", "remove the comma")
    if not text.strip():
        raise ConfigError("is empty", file=path, cure='write { "key": value, ... } into it, or name another file')
    sign = text[position : position + 1]
    if sign in ("/", "#"):
        _raise_at(text, position, path, "JSON has no comments", 'write a note as "__note": "..."')
    if sign == "'":
        _raise_at(text, position, path, "text in single quotes", 'use double quotes: "text"')
    if error.msg.startswith("Expecting ',' delimiter") and sign == '"':
        _raise_at(text, max(len(before) - 1, 0), path, "a comma is missing after this", "add a comma")
    _raise_at(text, position, path, f"invalid JSON: {error.msg}", _cure(error.msg, text[position:]))


def _cure(complaint: str, rest: str) -> str:
    """What to do about what Python's reader says; ``rest`` is the text from there on."""
    word = re.match(r"True|False|None", rest)
    if word is not None:
        return f"write {_WORDS[word[0]]} instead of {word[0]}"
    return next((cure for said, cure in _CURES.items() if complaint.startswith(said)), "correct the text there")


def _raise_at(text: str, position: int, path: Path, reason: str, cure: str | None) -> NoReturn:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    raise ConfigError(f"{reason} (line {line}, column {column})", file=path, cure=cure)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object."""
    content = read_json(path)
    if not isinstance(content, dict):
        cure = 'write { "key": value, ... }, with nothing before or behind the braces'
        raise ConfigError("must hold one object in braces: { ... }", file=path, cure=cure)
    return content


def read_options(path: Path, backend: str) -> Mapping[str, Any]:
    """The flat pairs of a configuration file in the format ``json``, ``toml`` or ``env``; keys as written."""
    if backend == "env":
        return options_of(parse_env(read_text(path), path), path)
    if backend == "json":
        return read_object(path)
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"invalid TOML: {error}", file=path, cure=_TOML) from None
