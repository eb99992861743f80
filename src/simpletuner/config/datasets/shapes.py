"""Values that are more than one word: lists, secrets and blocks of a data set, from what people write for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import SecretStr

from simpletuner.config.datasets.blocks import (
    AspectChoice,
    CaptionShuffle,
    CompositeImages,
    HubColumns,
    HubFilter,
    ParquetTable,
)
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.lenient import as_number, as_text, is_given, shown
from simpletuner.config.option import Section
from simpletuner.config.problems import near
from simpletuner.config.reading.fill import Source, fill
from simpletuner.config.reading.names import is_comment
from simpletuner.core.errors import ConfigError

_S = TypeVar("_S", bound=Section)
Read = tuple[Any, list[ConfigError]]
Shape = Callable[[Any, str, Source], Read]
_ASPECT_KEYS = ("aspect", "weight")
_TOLERANCE = 1e-3


def fill_shaped(kind: type[_S], values: Mapping[str, Any], source: Source) -> tuple[_S | None, list[ConfigError]]:
    """As :func:`fill`, also for the fields of ``kind`` that have a shape of their own."""
    shapes = SHAPES.get(kind, {})
    section, problems = fill(kind, {key: value for key, value in values.items() if key not in shapes}, source)
    shaped: dict[str, Any] = {}
    for key, shape in shapes.items():
        if is_given(values.get(key)):
            value, found = shape(values[key], key, source)
            problems += found
            if not found:
                shaped[key] = value
    return (section.model_copy(update=shaped) if section is not None else None), problems


def texts(value: Any) -> tuple[str, ...]:
    """A text, or a list of texts; each once. Raises ValueError."""
    items = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(item, list | tuple) for item in items):
        raise ValueError("a text or a list of texts is expected, not a list in a list")
    if not all(is_given(item) for item in items):
        raise ValueError("holds an empty text")
    return tuple(dict.fromkeys(as_text(item) for item in items))


def words(value: Any) -> tuple[str, ...]:
    """Words of a list, or of a text with commas or space between them. Raises ValueError for an object."""
    return tuple(dict.fromkeys(word.lower() for word in re.split(r"[\s,]+", as_text(value)) if word))


def secret(value: Any) -> SecretStr:
    """A text that no message shows. Raises ValueError, which does not show it either."""
    if not isinstance(value, str):
        raise ValueError("a text is expected")
    return SecretStr(value.strip())


def aspects(value: Any) -> tuple[AspectChoice, ...]:
    """Aspects with their shares; equal shares where no weight is given. Raises ValueError."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{shown(value)} is no list of aspects")
    pairs = [_aspect(item) for item in value]
    weights = [weight for _, weight in pairs if weight is not None]
    if not weights:
        return tuple(AspectChoice(aspect, 1 / len(pairs)) for aspect, _ in pairs)
    if len(weights) < len(pairs):
        raise ValueError("some aspects have a weight and others have none")
    total = sum(weights)
    if abs(total - 1) > _TOLERANCE:
        raise ValueError(f"the weights sum to {total:g}, not to 1")
    return tuple(AspectChoice(aspect, weight / total) for (aspect, _), weight in zip(pairs, weights, strict=True))


def _aspect(item: Any) -> tuple[float, float | None]:
    given = item if isinstance(item, Mapping) else {"aspect": item}
    unknown = [key for key in given if key not in _ASPECT_KEYS]
    if unknown or "aspect" not in given:
        raise ValueError(f"{shown(item)} is neither a number nor an object with aspect and weight")
    aspect = as_number(given["aspect"])
    weight = as_number(given["weight"]) if is_given(given.get("weight")) else None
    if aspect <= 0 or (weight is not None and weight < 0):
        raise ValueError(f"{shown(item)}: an aspect is above 0, and a weight is not below 0")
    return aspect, weight


def _thresholds(value: Any) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, Mapping):
        raise ValueError("an object is expected: a number for each measure")
    return tuple((str(name), as_number(least)) for name, least in value.items() if not is_comment(str(name)))


def _plain(read: Callable[[Any], Any], cure: str | None = None) -> Shape:
    def shape(value: Any, key: str, source: Source) -> Read:
        try:
            return read(value), []
        except ValueError as error:
            return None, [source.problem(key, str(error), cure)]

    return shape


def _block(kind: type[Section], switch: str | None = None) -> Shape:
    """An object in braces; where there is a ``switch``, true or false alone is understood as its value."""

    def shape(value: Any, key: str, source: Source) -> Read:
        if switch is not None and not isinstance(value, Mapping):
            value = {switch: value}
        if not isinstance(value, Mapping):
            return None, [source.problem(key, f"{shown(value)} is no object in braces", f'write "{key}": {{ ... }}')]
        inner = Source(source.file, f"{source.prefix}{key}.")
        given = {name: item for name, item in value.items() if not is_comment(name)}
        known = sorted(kind.model_fields)
        unknown = [
            inner.problem(name, "unknown key", near(name, known) or "remove it") for name in given if name not in known
        ]
        block, problems = fill_shaped(kind, given, inner)
        return block, unknown + problems

    return shape


_TEXTS = _plain(texts, 'write "..." or ["...", "..."]')
_SECRET = _plain(secret, 'write "{env:NAME}" to take it from the environment')
SHAPES: dict[type[Section], dict[str, Shape]] = {
    DatasetConfig: {
        "instance_prompt": _TEXTS,
        "caption_column": _TEXTS,
        "conditioning_data": _TEXTS,
        "skip_file_discovery": _plain(words),
        "crop_aspect_buckets": _plain(aspects, 'write [1.0, 0.75] or [{"aspect": 1.0, "weight": 0.5}, ...]'),
        "caption_shuffle": _block(CaptionShuffle, switch="enable"),
        "parquet": _block(ParquetTable),
        "huggingface": _block(HubColumns),
        "aws_access_key_id": _SECRET,
        "aws_secret_access_key": _SECRET,
    },
    ParquetTable: {"caption_column": _TEXTS},
    HubColumns: {
        "caption_column": _TEXTS,
        "filter_func": _block(HubFilter),
        "composite_image_config": _block(CompositeImages, switch="enabled"),
    },
    HubFilter: {
        "collection": _TEXTS,
        "quality_thresholds": _plain(_thresholds, 'write {"measure": 0.5}'),
    },
}
