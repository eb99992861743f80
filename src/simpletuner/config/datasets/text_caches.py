"""The entries of the dataloader file that describe caches: ``text_embeds`` and ``image_embeds``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from simpletuner.config.datasets.rules import key_problems, source_of
from simpletuner.config.datasets.surroundings import Surroundings
from simpletuner.config.lenient import as_text, is_given, shown
from simpletuner.config.option import REQUIRED, Section, facts_of, option
from simpletuner.config.reading.fill import Source, fill
from simpletuner.config.reading.names import is_on
from simpletuner.config.reading.read import read_json, read_text
from simpletuner.config.sections.data import NO_TEXT_ENCODER
from simpletuner.core.errors import ConfigError

CACHE_TYPES = ("text_embeds", "image_embeds")
_MEMORY_KEYS = ("memory_filesystem_path", "memory_filesystem_size", "memory_filesystem_sudo")
# Not splitlines: it tears a term at a form feed, at U+0085 and at U+2028 too.
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
PLAIN_KEYS = frozenset({"type", "dataset_type", "disabled", *_MEMORY_KEYS})
"""Keys of a cache entry that are no fields of it."""


class TextCache(Section):
    """One ``text_embeds`` entry, or an ``image_embeds`` entry, which has no more than an id."""

    id: str = option(REQUIRED, reads=("config",))
    """The name that data sets refer to."""
    dataset_type: str = option("text_embeds", reads=("config",))
    """`text_embeds` or `image_embeds`."""
    default: bool = option(default=False, reads=("config",))
    """Data sets that name no entry use this one."""
    cache_dir: str | None = option(None, reads=("config",))
    """The folder of the token cache."""
    caption_filter_list: tuple[str, ...] = option((), reads=("config",))
    """What is removed from the captions: a list, or a `.txt` or `.json` file with one."""
    write_batch_size: int = option(128, unread="cache entries are written one by one, each whole or not at all", ge=1)
    """Cache files written together."""
    text_encoder_batch_size: int = option(1, unread=NO_TEXT_ENCODER, ge=1)
    """Captions encoded together."""
    text_cache_ondemand: bool = option(default=False, unread=NO_TEXT_ENCODER)
    """Encode captions during training."""
    text_cache_disable: bool = option(default=False, unread=NO_TEXT_ENCODER)
    """Store nothing."""


def read_caches(
    entries: Iterable[Mapping[str, Any]], around: Surroundings
) -> tuple[tuple[TextCache, ...], list[ConfigError]]:
    """The cache entries, and everything that is wrong in them."""
    caches: list[TextCache] = []
    problems: list[ConfigError] = []
    for entry in entries:
        source = source_of(entry, around)
        problems += key_problems(entry, {*TextCache.model_fields, *PLAIN_KEYS}, source)
        problems += _type_problems(entry, source)
        filters, wrong = _filters(entry, source, around)
        plain = {key: value for key, value in entry.items() if key != "caption_filter_list"}
        cache, found = fill(TextCache, plain, source)
        problems += [*wrong, *found]
        if cache is not None:
            caches.append(cache.model_copy(update={"caption_filter_list": filters}))
    return tuple(caches), problems + _default_problems(caches, around.file)


def default_cache(caches: Iterable[TextCache]) -> TextCache | None:
    """The ``text_embeds`` entry that is used where none is named: the default one, else the first."""
    texts = [cache for cache in caches if cache.dataset_type == "text_embeds"]
    return next((cache for cache in texts if cache.default), texts[0] if texts else None)


def filters_of(name: str | None, caches: Sequence[TextCache]) -> tuple[str, ...]:
    """What is removed from the captions of a data set whose ``text_embeds`` is ``name``."""
    named = next((cache for cache in caches if cache.id == name), None)
    chosen = named or default_cache(caches)
    return chosen.caption_filter_list if chosen else ()


def cache_notices(entries: Iterable[Mapping[str, Any]], caches: Sequence[TextCache]) -> Iterator[str]:
    """What a user should know of the cache entries."""
    chosen = default_cache(caches)
    texts = [cache for cache in caches if cache.dataset_type == "text_embeds"]
    if chosen is not None and len(texts) > 1 and not chosen.default:
        yield f"no text_embeds entry is the default: {chosen.id} is used"
    for cache in caches:
        if cache.cache_dir and cache is not chosen:
            where = f"that of {chosen.id}" if chosen and cache in texts else "cache_dir_vae of the data sets"
            yield f"cache {cache.id}: not read: cache_dir (one folder holds them all, {where})"
    for entry in entries:
        for key, declared in TextCache.model_fields.items():
            facts = facts_of(declared)
            if not facts.reads and is_on(entry.get(key)):
                yield f"cache {entry['id']}: not read: {key} ({facts.unread})"


def _type_problems(entry: Mapping[str, Any], source: Source) -> list[ConfigError]:
    if not is_given(entry.get("type")) or str(entry["type"]).strip() == "local":
        return []
    return [source.problem("type", f"{shown(entry['type'])} is refused: caches lie on local disks", "use local")]


def _default_problems(caches: Iterable[TextCache], file: Path) -> list[ConfigError]:
    defaults = [cache.id for cache in caches if cache.dataset_type == "text_embeds" and cache.default]
    if len(defaults) < 2:
        return []
    reason = f"{len(defaults)} text_embeds entries are the default: {' and '.join(defaults)}"
    return [ConfigError(reason, file=file, key="default", cure="keep one")]


def _filters(
    entry: Mapping[str, Any], source: Source, around: Surroundings
) -> tuple[tuple[str, ...], list[ConfigError]]:
    key = "caption_filter_list"
    given = entry.get(key)
    if not is_given(given) or given == []:
        return (), []
    if entry["dataset_type"] != "text_embeds":
        return (), [source.problem(key, "belongs to a text_embeds entry", "move it there")]
    try:
        return _patterns(given if isinstance(given, list) else _listed(around.full(as_text(given)))), []
    except ValueError as error:
        return (), [source.problem(key, str(error), 'give ["a term", ...] or a .txt or .json file')]
    except ConfigError as error:
        return (), [source.problem(key, error.message(), "correct the file, or remove the key")]


def _listed(path: Path) -> object:
    """The content of a filter file; the space around a term is a part of it."""
    return read_json(path) if path.suffix.lower() == ".json" else _LINE_BREAK.split(read_text(path))


def _patterns(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(term, str) for term in given):
        raise ValueError("must be a list of texts")
    return tuple(term for term in given if term.strip())
