"""The dataloader file: which data sets there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpletuner.config.dataset import (
    CACHE_TYPES,
    REFERENCE_KEYS,
    REFUSED_KEYS,
    RENAMED_KEYS,
    UNREAD_KEYS,
    DatasetConfig,
)
from simpletuner.config.dataset_rules import (
    cache_problems,
    caption_problems,
    identity_problems,
    key_problems,
    missing_folders,
    probability_problems,
    reference_problems,
    refused_problems,
    source_of,
    text_entries,
    whole_problems,
)
from simpletuner.config.environment import substitute
from simpletuner.config.fill import fill
from simpletuner.config.lenient import as_boolean, is_given
from simpletuner.config.names import is_comment, is_on
from simpletuner.config.option import facts_of
from simpletuner.config.problems import raise_all
from simpletuner.config.read import read_json
from simpletuner.config.sizes import in_units, size_problems
from simpletuner.config.surroundings import Surroundings
from simpletuner.core.errors import ConfigError

_SIZES = ("resolution", "minimum_image_size", "maximum_image_size", "target_downsample_size")
_KEYS = frozenset(
    {*DatasetConfig.model_fields, *REFUSED_KEYS, *UNREAD_KEYS, *RENAMED_KEYS, *REFERENCE_KEYS, "disabled"}
)


@dataclass(frozen=True)
class Dataloader:
    """What the dataloader file says. ``text_cache`` is the folder of the token cache, a full path."""

    datasets: tuple[DatasetConfig, ...]
    text_cache: Path
    notices: tuple[str, ...]


def read_datasets(around: Surroundings) -> Dataloader:
    """Read and check the dataloader file. Raises ConfigError with everything that is wrong in it."""
    content = read_json(around.file)
    if not isinstance(content, list) or not content:
        raise ConfigError("must hold a list of data sets: [ { ... }, ... ]", file=around.file)
    if not all(isinstance(entry, dict) for entry in content):
        raise ConfigError("every data set must be an object in braces: { ... }", file=around.file)
    entries = [_prepared(entry, around) for entry in content]
    entries = [entry for entry in entries if not _is_disabled(entry, around)]
    raise_all(identity_problems(entries, around.file))
    caches = [entry for entry in entries if entry.get("dataset_type") in CACHE_TYPES]
    pictures = [entry for entry in entries if entry.get("dataset_type") not in CACHE_TYPES]
    problems = cache_problems(caches, around) + reference_problems(pictures, caches, around)
    datasets, found = _datasets(pictures, around)
    raise_all(problems + found)
    text_cache = _text_cache(caches, around)
    raise_all(whole_problems(datasets, text_cache, around.file))
    return Dataloader(tuple(datasets), text_cache, tuple(_notices(pictures)))


def _prepared(entry: dict[str, Any], around: Surroundings) -> dict[str, Any]:
    identity = str(entry.get("id") or "").strip()
    words = {
        "model_family": around.config.model.model_family,
        "output_dir": around.config.report.output_dir,
        "id": identity,
        "config_dir": str(around.file.parent),
    }
    filled = {key: substitute(value, around.environ, words) for key, value in entry.items() if not is_comment(key)}
    return {RENAMED_KEYS.get(key, key): value for key, value in filled.items()} | {"id": identity}


def _is_disabled(entry: Mapping[str, Any], around: Surroundings) -> bool:
    value = entry.get("disabled")
    try:
        return is_given(value) and as_boolean(value)
    except ValueError as error:
        raise source_of(entry, around).problem("disabled", str(error)) from None


def _datasets(
    entries: Iterable[Mapping[str, Any]], around: Surroundings
) -> tuple[list[DatasetConfig], list[ConfigError]]:
    datasets: list[DatasetConfig] = []
    problems: list[ConfigError] = []
    for entry in entries:
        source = source_of(entry, around)
        problems += [*key_problems(entry, _KEYS, source), *refused_problems(entry, source)]
        dataset, found = fill(DatasetConfig, _merged(entry, around), source)
        problems += found
        if dataset is not None:
            datasets.append(dataset)
            problems += [*caption_problems(dataset, source), *size_problems(dataset, source)]
            problems += probability_problems(dataset, source)
    return datasets, problems + missing_folders(datasets, around.file)


def _merged(entry: Mapping[str, Any], around: Surroundings) -> dict[str, Any]:
    given = {key: value for key, value in entry.items() if is_given(value)}
    beneath = around.config.data.model_dump() | {"train_batch_size": around.config.length.train_batch_size}
    unit = str(given.get("resolution_type", beneath["resolution_type"])).strip()
    for key in _SIZES:
        beneath[key] = in_units(beneath[key], beneath["resolution_type"], unit)
    beneath["resolution_type"] = unit
    # A global cache_dir_vae is a base, and skip_file_discovery is told about once: neither is inherited as it is.
    beneath |= {"cache_dir_vae": str(around.cache_of(entry["id"])), "skip_file_discovery": None}
    for key in ("instance_data_dir", "cache_dir_vae"):
        if isinstance(given.get(key), str):
            given[key] = str(around.full(given[key].strip()))
    return beneath | given


def _text_cache(caches: Sequence[Mapping[str, Any]], around: Surroundings) -> Path:
    entries = text_entries(caches)
    chosen = next((entry for entry in entries if is_on(entry.get("default"))), entries[0] if entries else {})
    given = chosen.get("cache_dir")
    if isinstance(given, str) and is_given(given):
        return around.full(given.strip())
    if around.config.data.cache_dir_text:
        return around.full(around.config.data.cache_dir_text)
    return around.cache_base() / "text" / around.config.model.model_family


def _notices(entries: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for entry in entries:
        unread = [key for key in UNREAD_KEYS if is_on(entry.get(key))]
        if unread:
            yield f"data set {entry['id']}: nothing in this version reads {', '.join(unread)}"
        for key, declared in DatasetConfig.model_fields.items():
            facts = facts_of(declared)
            if not facts.reads and is_given(entry.get(key)):
                yield f"data set {entry['id']}: {key} is not read: {facts.unread}"
