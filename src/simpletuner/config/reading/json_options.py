"""Options whose value is JSON: written in place, or the path of a file that holds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from simpletuner.config.problems import raise_all
from simpletuner.config.reading.environment import substitute
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.find import Found, locate
from simpletuner.config.reading.read import read_json
from simpletuner.core.errors import ConfigError

Problems = Callable[[Any, Source], Iterator[ConfigError]]
"""Everything wrong with one object at its place."""


def json_of(text: str, key: str, example: str, where: tuple[Source, Found, Path]) -> tuple[Any, Source]:
    """What the option ``key`` says with ``text``, and how its keys are named in messages.

    ``where`` it was written: the configuration, where that lies, and the current folder. Nothing of ``text`` that may
    be a secret is repeated. Raises ConfigError, whose cure shows ``example``.
    """
    source, found, cwd = where
    cure = f"write {example}, or the path of a file"
    if text[:1] in ("{", "["):
        try:
            return json.loads(text), Source(source.origins.get(key, source.file), prefix=f"{key}.")
        except (ValueError, RecursionError):
            raise source.problem(key, "is no valid JSON", cure) from None
    if "://" in text or '"' in text:
        raise source.problem(key, "is neither a path nor JSON", cure)
    file = locate(text, key, found, cwd)
    return read_json(file), Source(str(file))


def objects_of(
    given: SecretStr | None, key: str, example: str, where: tuple[Source, Found, Path], problems: Problems
) -> list[Any]:
    """The same for one object or a list of them; none when the option is not given.

    ``{env:NAME}`` stands for a variable of the environment. Raises ConfigError telling all that ``problems`` finds.
    """
    text = given.get_secret_value().strip() if given is not None else ""
    if not text:
        return []
    written, place = json_of(text, key, example, where)
    content = substitute(written, where[1].environ)
    entries = list(_placed(content, place)) if isinstance(content, list) else [(content, place)]
    raise_all([problem for entry, own in entries for problem in problems(entry, own)])
    return [entry for entry, _ in entries]


def _placed(entries: Sequence[Any], place: Source) -> Iterator[tuple[Any, Source]]:
    prefix = place.prefix.removesuffix(".")
    return ((entry, Source(place.file, prefix=f"{prefix}[{number}].")) for number, entry in enumerate(entries))
