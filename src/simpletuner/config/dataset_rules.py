"""What can be wrong with the entries of the dataloader file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simpletuner.config.dataset import CACHE_KEYS, REFERENCE_KEYS, REFUSED_KEYS, RETIRED_KEYS, DatasetConfig
from simpletuner.config.fill import Source
from simpletuner.config.lenient import is_given, shown
from simpletuner.config.names import is_on
from simpletuner.config.option import LATER
from simpletuner.config.problems import near
from simpletuner.config.surroundings import Surroundings
from simpletuner.core.errors import ConfigError


def source_of(entry: Mapping[str, Any], around: Surroundings) -> Source:
    """Where ``entry`` stands, for messages."""
    return Source(str(around.file), f"{entry['id']}: ")


def text_entries(caches: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The ``text_embeds`` entries among the caches."""
    return [entry for entry in caches if entry["dataset_type"] == "text_embeds"]


def identity_problems(entries: Sequence[Mapping[str, Any]], file: Path) -> list[ConfigError]:
    """Entries without an id, with one that cannot name a folder, or with the same one."""
    problems = []
    counted = Counter(entry["id"] for entry in entries)
    for place, entry in enumerate(entries, start=1):
        if not entry["id"]:
            problems.append(ConfigError(f"data set {place} has no id", file=file, key="id", cure='add "id": "a-name"'))
        elif entry["id"] in (".", "..") or any(sign in entry["id"] for sign in "/\\"):
            problems.append(ConfigError(f"{shown(entry['id'])} cannot name a folder", file=file, key="id"))
    for identity, count in counted.items():
        if identity and count > 1:
            reason = f"{count} data sets have the id {shown(identity)}"
            problems.append(ConfigError(reason, file=file, key="id", cure="give each its own id"))
    return problems


def key_problems(entry: Mapping[str, Any], known: Iterable[str], source: Source) -> list[ConfigError]:
    """Keys of ``entry`` that are not ``known``."""
    known = sorted(known)
    problems = [source.problem(key, RETIRED_KEYS[key]) for key in entry if key in RETIRED_KEYS]
    unknown = [key for key in entry if key not in known and key not in RETIRED_KEYS]
    return problems + [source.problem(key, "unknown key", near(key, known) or "remove it") for key in unknown]


def refused_problems(entry: Mapping[str, Any], source: Source) -> list[ConfigError]:
    """Keys that would change what is trained, where they ask for something that this version does not have."""
    return [
        source.problem(key, f"{shown(entry[key])} {LATER}", "remove it")
        for key, idle in REFUSED_KEYS.items()
        if _asks(entry.get(key), idle)
    ]


def _asks(value: Any, idle: object) -> bool:
    if isinstance(value, Mapping) and "enable" in value:
        value = value["enable"]
    return is_on(value) and str(value).strip() not in (str(idle), f"{idle}.0")


def probability_problems(dataset: DatasetConfig, source: Source) -> list[ConfigError]:
    """A probability that is neither 0 nor 1: data sets are not weighted against each other yet."""
    if dataset.probability in (0, 1):
        return []
    reason = f"'{dataset.probability:g}' {LATER}: a data set is used (1) or left out (0)"
    return [source.problem("probability", reason, "use repeats to show a data set's pictures more often")]


def caption_problems(dataset: DatasetConfig, source: Source) -> list[ConfigError]:
    """An instance prompt that is needed and missing."""
    wanting = {
        "caption_strategy": dataset.caption_strategy == "instanceprompt",
        "prepend_instance_prompt": dataset.prepend_instance_prompt,
        "only_instance_prompt": dataset.only_instance_prompt,
    }
    key = next((key for key, wants in wanting.items() if wants), None)
    if key is None or dataset.instance_prompt:
        return []
    return [source.problem("instance_prompt", f"is missing, and {key} needs it", 'add "instance_prompt": "..."')]


def missing_folders(datasets: Iterable[DatasetConfig], file: Path) -> list[ConfigError]:
    """One problem that lists every folder of pictures that does not exist."""
    missing = [dataset for dataset in datasets if not dataset.instance_data_dir.is_dir()]
    if not missing:
        return []
    lines = "".join(f"\n  {dataset.id}: {dataset.instance_data_dir}" for dataset in missing)
    reason = f"no such folder:{lines}"
    return [ConfigError(reason, file=file, key="instance_data_dir", cure="create it, or correct the path")]


def cache_problems(caches: Sequence[Mapping[str, Any]], around: Surroundings) -> list[ConfigError]:
    """What is wrong in the ``text_embeds`` and ``image_embeds`` entries."""
    problems = [problem for entry in caches for problem in key_problems(entry, CACHE_KEYS, source_of(entry, around))]
    problems += [problem for entry in caches for problem in refused_problems(entry, source_of(entry, around))]
    defaults = [entry["id"] for entry in text_entries(caches) if is_on(entry.get("default"))]
    if len(defaults) > 1:
        reason = f"two text_embeds entries are the default: {' and '.join(defaults)}"
        problems.append(ConfigError(reason, file=around.file, key="default", cure="keep one"))
    for entry in caches:
        if is_given(entry.get("type")) and entry["type"] != "local":
            problems.append(source_of(entry, around).problem("type", f"{shown(entry['type'])} {LATER}", "use local"))
    return problems


def reference_problems(
    pictures: Iterable[Mapping[str, Any]], caches: Iterable[Mapping[str, Any]], around: Surroundings
) -> list[ConfigError]:
    """Names of cache entries that do not exist."""
    known = [entry["id"] for entry in caches]
    return [
        source_of(entry, around).problem(
            key, f"there is no cache entry {shown(entry[key])}", near(str(entry[key]), known)
        )
        for entry in pictures
        for key in REFERENCE_KEYS
        if is_given(entry.get(key)) and entry[key] not in known
    ]


def whole_problems(datasets: Sequence[DatasetConfig], text_cache: Path, file: Path) -> list[ConfigError]:
    """What is wrong in the data sets together: none to train on, a cache in two roles."""
    problems = []
    if not any(dataset.dataset_type == "image" and dataset.probability > 0 for dataset in datasets):
        cure = "add or enable one, with a probability above 0"
        problems.append(ConfigError("no data set to train on", file=file, cure=cure))
    for dataset in datasets:
        if dataset.cache_dir_vae == text_cache:
            reason = f"{dataset.id}: is the folder of the text cache too: {text_cache}"
            problems.append(ConfigError(reason, file=file, key="cache_dir_vae", cure="give each cache its own folder"))
    return problems
