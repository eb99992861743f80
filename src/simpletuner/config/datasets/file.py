"""The dataloader file: which data sets there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpletuner.config.datasets.conditioning_rules import (
    linked,
    lonely_notices,
    mask_problems,
    reference_problems,
    turn_notices,
)
from simpletuner.config.datasets.dataset import REFUSED_KEYS, RENAMED_KEYS, UNREAD_KEYS, DatasetConfig
from simpletuner.config.datasets.rules import (
    caption_problems,
    crop_problems,
    entry_notices,
    folder_problems,
    identity_problems,
    key_problems,
    offset_problems,
    pruning_problems,
    refused_problems,
    source_of,
)
from simpletuner.config.datasets.schedule_rules import schedule_problems, training_problems
from simpletuner.config.datasets.shapes import fill_shaped
from simpletuner.config.datasets.sizes import in_units, size_problems
from simpletuner.config.datasets.storage_rules import idle_storage, missing_folders, storage_problems
from simpletuner.config.datasets.surroundings import Surroundings
from simpletuner.config.datasets.text_caches import (
    CACHE_TYPES,
    TextCache,
    cache_notices,
    default_cache,
    filters_of,
    read_caches,
)
from simpletuner.config.lenient import as_boolean, is_given
from simpletuner.config.problems import raise_all
from simpletuner.config.reading.environment import substitute
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.names import is_comment
from simpletuner.config.reading.read import read_json
from simpletuner.config.run import DataConfig
from simpletuner.core.errors import ConfigError

_SIZES = ("resolution", "minimum_image_size", "maximum_image_size", "target_downsample_size")
_FOLDERS = ("instance_data_dir", "cache_dir_vae", "csv_cache_dir", "cache_dir")
_PLACES = ("csv_file", "source")
_KEYS = frozenset({*DatasetConfig.model_fields, *REFUSED_KEYS, *UNREAD_KEYS, *RENAMED_KEYS, "disabled"})
# A global cache_dir or cache_dir_vae is a base, and a global key that nothing reads is told about once.
_OWN = {"cache_dir", "cache_dir_vae", "skip_file_discovery", "write_batch_size", "metadata_update_interval"}
_INHERITED = (DatasetConfig.model_fields.keys() & DataConfig.model_fields.keys()) - _OWN


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
        cure = "put the objects of the data sets between [ and ]"
        raise ConfigError("must hold a list of data sets: [ { ... }, ... ]", file=around.file, cure=cure)
    if not all(isinstance(entry, dict) for entry in content):
        cure = 'write { "id": "...", ... } for each'
        raise ConfigError("every data set must be an object in braces: { ... }", file=around.file, cure=cure)
    entries = [_prepared(entry, around) for entry in content]
    entries = [entry for entry in entries if not _is_disabled(entry, around)]
    raise_all(identity_problems(entries, around.file))
    pictures = [entry for entry in entries if entry.get("dataset_type") not in CACHE_TYPES]
    stores = [entry for entry in entries if entry.get("dataset_type") in CACHE_TYPES]
    caches, problems = read_caches(stores, around)
    datasets, found = _datasets(pictures, around)
    raise_all([*problems, *found])
    kinds = {dataset.id: str(dataset.dataset_type) for dataset in datasets}
    kinds |= {cache.id: cache.dataset_type for cache in caches}
    raise_all(reference_problems(datasets, kinds, around))
    text_cache = _text_cache(caches, around)
    raise_all(
        [
            *training_problems(datasets, around.file),
            *folder_problems(datasets, text_cache, around.file),
            *pruning_problems(datasets, around.config.data),
            *offset_problems(datasets, around.config.flow, around.file),
        ]
    )
    whole = [_with_filters(dataset, caches) for dataset in linked(datasets)]
    raise_all(mask_problems(whole, around))
    notices = (*_notices(pictures, whole, around), *cache_notices(stores, caches))
    return Dataloader(tuple(whole), text_cache, notices)


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
        dataset, found = fill_shaped(DatasetConfig, _merged(entry, around), source)
        problems += found
        if dataset is not None:
            datasets.append(dataset)
            problems += _combined(dataset, source, [str(problem.key) for problem in found])
    return datasets, problems + missing_folders(datasets, around.file)


def _combined(dataset: DatasetConfig, source: Source, told: Collection[str]) -> Iterator[ConfigError]:
    """What is wrong in keys together, but for keys of which something was ``told`` already."""
    if not {f"{source.prefix}type", f"{source.prefix}dataset_type"}.isdisjoint(told):
        return
    for check in (storage_problems, caption_problems, crop_problems, size_problems, schedule_problems):
        for problem in check(dataset, source):
            if not any(f"{key}.".startswith(f"{problem.key}.") for key in told):
                yield problem


def _merged(entry: Mapping[str, Any], around: Surroundings) -> dict[str, Any]:
    given = {key: value for key, value in entry.items() if is_given(value) and key not in REFUSED_KEYS}
    beneath = around.config.data.model_dump(include=set(_INHERITED))
    beneath["train_batch_size"] = around.config.length.train_batch_size
    unit = str(given.get("resolution_type", beneath["resolution_type"])).strip()
    for key in _SIZES:
        beneath[key] = in_units(beneath[key], beneath["resolution_type"], unit)
    beneath |= {"resolution_type": unit, "cache_dir_vae": str(around.cache_of(entry["id"]))}
    return beneath | _resolved(given, around)


def _resolved(given: Mapping[str, Any], around: Surroundings) -> dict[str, Any]:
    """Paths become full paths; what is no text is left for the complaint about it."""
    found = dict(given)
    for key in _FOLDERS:
        if isinstance(given.get(key), str):
            found[key] = str(around.full(given[key].strip()))
    for key in _PLACES:
        if isinstance(given.get(key), str):
            found[key] = around.place(given[key].strip())
    table = given.get("parquet")
    if isinstance(table, Mapping) and isinstance(table.get("path"), str) and is_given(table["path"]):
        found["parquet"] = {**table, "path": around.place(table["path"].strip())}
    return found


def _text_cache(caches: Sequence[TextCache], around: Surroundings) -> Path:
    chosen = default_cache(caches)
    folder = (chosen.cache_dir if chosen else None) or around.config.data.cache_dir_text
    return around.full(folder) if folder else around.cache_base() / "text" / around.config.model.model_family


def _with_filters(dataset: DatasetConfig, caches: Sequence[TextCache]) -> DatasetConfig:
    filters = () if dataset.dataset_type == "conditioning" else filters_of(dataset.text_embeds, caches)
    return dataset.model_copy(update={"caption_filter_list": filters})


def _notices(
    entries: Iterable[Mapping[str, Any]], datasets: Sequence[DatasetConfig], around: Surroundings
) -> Iterator[str]:
    for entry, dataset in zip(entries, datasets, strict=True):
        for notice in (*entry_notices(entry, dataset), *idle_storage(entry, dataset)):
            yield f"data set {dataset.id}: {notice}"
    yield from lonely_notices(datasets)
    yield from turn_notices(datasets, around.config.data.conditioning_multidataset_sampling)
