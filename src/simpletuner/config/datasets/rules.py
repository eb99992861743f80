"""What can be wrong with the entries of the dataloader file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from simpletuner.config.datasets.dataset import REFUSED_KEYS, RETIRED_KEYS, UNREAD_KEYS, DatasetConfig
from simpletuner.config.datasets.surroundings import Surroundings
from simpletuner.config.lenient import is_given, shown
from simpletuner.config.option import facts_of
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.names import is_on
from simpletuner.config.reading.not_here import PAGE
from simpletuner.config.reading.other_names import ELSEWHERE_IN_DATA, meant
from simpletuner.config.sections.data import DataConfig
from simpletuner.config.sections.timesteps import FlowConfig, laws_asked_for
from simpletuner.core.errors import ConfigError

_STAGES = ("aspect", "vae", "text", "metadata")
_LONGEST_ID = 100
_UNMOVED = {
    "eval": ("held-out pictures are measured at the run's own shares of noise, for losses to compare", "remove it"),
    "conditioning": ("masks and references are given no noise", "give it to the data set that they belong to"),
}
_NAME = "use letters, digits and dashes"


def source_of(entry: Mapping[str, Any], around: Surroundings) -> Source:
    """Where ``entry`` stands, for messages."""
    return Source(str(around.file), f"{entry['id']}: ")


def identity_problems(entries: Sequence[Mapping[str, Any]], file: Path) -> list[ConfigError]:
    """Entries without an id, with one that cannot name a folder, or with the same one."""
    problems = []
    counted = Counter(entry["id"] for entry in entries)
    for place, entry in enumerate(entries, start=1):
        if not entry["id"]:
            problems.append(ConfigError(f"data set {place} has no id", file=file, key="id", cure='add "id": "a-name"'))
        elif entry["id"] in (".", "..") or any(sign in entry["id"] for sign in "/\\"):
            problems.append(ConfigError(f"{shown(entry['id'])} cannot name a folder", file=file, key="id", cure=_NAME))
        elif len(entry["id"]) > _LONGEST_ID:
            reason = f"the id of data set {place} has {len(entry['id'])} characters, and files are named by it"
            problems.append(ConfigError(reason, file=file, key="id", cure=f"use at most {_LONGEST_ID}"))
    for identity, count in counted.items():
        if identity and count > 1:
            reason = f"{count} data sets have the id {shown(identity)}"
            problems.append(ConfigError(reason, file=file, key="id", cure="give each its own id"))
    return problems


def key_problems(entry: Mapping[str, Any], known: Iterable[str], source: Source) -> list[ConfigError]:
    """Keys of ``entry`` that are not ``known``."""
    known = sorted(known)
    problems = [source.problem(key, RETIRED_KEYS[key], "rename it") for key in entry if key in RETIRED_KEYS]
    unknown = [key for key in entry if key not in known and key not in RETIRED_KEYS]
    cures = {key: meant(key, known, ELSEWHERE_IN_DATA) or "remove it" for key in unknown}
    return problems + [source.problem(key, "unknown key", cure) for key, cure in cures.items()]


def refused_problems(entry: Mapping[str, Any], source: Source) -> list[ConfigError]:
    """Keys that would change what is trained, where they ask for something that this version does not have."""
    return [
        source.problem(key, reason, f"remove it ({PAGE})")
        for key, reason in REFUSED_KEYS.items()
        if is_on(entry.get(key))
    ]


def caption_problems(dataset: DatasetConfig, source: Source) -> list[ConfigError]:
    """An instance prompt that is needed and missing."""
    wanting = {
        "caption_strategy": dataset.caption_strategy == "instanceprompt",
        "prepend_instance_prompt": dataset.prepend_instance_prompt,
        "only_instance_prompt": dataset.only_instance_prompt,
    }
    key = next((key for key, wants in wanting.items() if wants), None)
    if key is None or dataset.instance_prompt or dataset.dataset_type == "conditioning":
        return []
    return [source.problem("instance_prompt", f"is missing, and {key} needs it", 'add "instance_prompt": "..."')]


def crop_problems(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    """Aspects that are needed and missing, and limits that leave nothing."""
    if dataset.crop_aspect in ("closest", "random") and not dataset.crop_aspect_buckets:
        reason = f"is missing, and crop_aspect {dataset.crop_aspect} needs it"
        yield source.problem("crop_aspect_buckets", reason, 'add "crop_aspect_buckets": [1.0, 0.75, 1.33]')
    least, most = dataset.minimum_aspect_ratio, dataset.maximum_aspect_ratio
    if least is not None and most is not None and least > most:
        reason = f"{least:g} is above maximum_aspect_ratio {most:g}: no picture is left"
        yield source.problem("minimum_aspect_ratio", reason, "exchange them")


def pruning_problems(datasets: Iterable[DatasetConfig], options: DataConfig) -> list[ConfigError]:
    """Buckets that are to be pruned while their pictures change them in every epoch."""
    if options.disable_bucket_pruning is not False or options.aspect_bucket_disable_rebuild:
        return []
    return [
        ConfigError(
            f"{dataset.id}: crop_aspect random draws new buckets in every epoch, and false would prune those of the "
            "first one for the whole run",
            key="disable_bucket_pruning",
            cure="remove it, set aspect_bucket_disable_rebuild true, or use another crop_aspect or bucket_mixing pad",
        )
        for dataset in datasets
        if dataset.dataset_type == "image"
        and dataset.crop
        and dataset.crop_aspect == "random"
        and dataset.bucket_mixing != "pad"
    ]


def offset_problems(datasets: Iterable[DatasetConfig], flow: FlowConfig, file: Path) -> Iterator[ConfigError]:
    """Offsets of noise where none is drawn, or where none of the laws has a normal draw to add them to."""
    key = "timestep_sampling_offset"
    for dataset in datasets:
        source = Source(str(file), f"{dataset.id}: ")
        if dataset.timestep_sampling_offset and dataset.dataset_type in _UNMOVED:
            yield source.problem(key, *_UNMOVED[dataset.dataset_type])
        elif dataset.timestep_sampling_offset:
            for law in laws_asked_for(flow):
                reason = f"is added to a normal draw, and with {law} there is none"
                yield source.problem(key, reason, f"remove it, or {law} from the configuration")


def folder_problems(datasets: Sequence[DatasetConfig], text_cache: Path, file: Path) -> list[ConfigError]:
    """Folders in two roles: two data sets may share a latent cache, but it holds nothing else."""
    latents = {dataset.cache_dir_vae for dataset in datasets}
    folders = [
        *((dataset.id, "cache_dir_vae", "text", dataset.cache_dir_vae, {text_cache}) for dataset in datasets),
        *((dataset.id, "csv_cache_dir", "text", dataset.csv_cache_dir, {text_cache}) for dataset in datasets),
        *((dataset.id, "csv_cache_dir", "latent", dataset.csv_cache_dir, latents) for dataset in datasets),
    ]
    return [
        ConfigError(
            f"{name}: is the folder of the {role} cache too: {folder}",
            file=file,
            key=key,
            cure="give each cache its own folder",
        )
        for name, key, role, folder, taken in folders
        if folder in taken
    ]


def entry_notices(entry: Mapping[str, Any], dataset: DatasetConfig) -> Iterator[str]:
    """What a user should know of one entry: keys that nothing reads, and keys that rest."""
    by_reason: dict[str, list[str]] = {}
    reasons = UNREAD_KEYS | {key: facts_of(declared).unread for key, declared in DatasetConfig.model_fields.items()}
    for key, reason in reasons.items():
        if reason and is_on(entry.get(key)):
            by_reason.setdefault(reason, []).append(key)
    yield from (f"not read: {', '.join(keys)} ({reason})" for reason, keys in by_reason.items())
    unknown = [word for word in dataset.skip_file_discovery if word not in _STAGES]
    if unknown:
        yield f"skip_file_discovery: unknown stage {', '.join(unknown)}; known: {', '.join(_STAGES)}"
    shuffle = entry.get("caption_shuffle")
    if isinstance(shuffle, Mapping) and shuffle and not is_given(shuffle.get("enable")):
        yield 'caption_shuffle is off: add "enable": true to turn it on'
    for reason, keys in _idle(dataset).items():
        if idle := [key for key in keys if is_given(entry.get(key))]:
            yield f"not read: {', '.join(idle)} ({reason})"
    if dataset.vae_cache_clear_each_epoch and not _is_random(dataset):
        yield "vae_cache_clear_each_epoch: no crop is random, so that each epoch has the same"


def _idle(dataset: DatasetConfig) -> dict[str, tuple[str, ...]]:
    """Keys that the values of others leave without a reader, by the reason."""
    if dataset.dataset_type == "conditioning":
        return {}
    strategy = f"caption_strategy is {dataset.caption_strategy}"
    return {
        "crop is off": () if dataset.crop else ("crop_aspect", "crop_aspect_buckets", "crop_style"),
        strategy: () if reads_instance_prompt(dataset) else ("instance_prompt",),
    }


def _is_random(dataset: DatasetConfig) -> bool:
    """Whether a crop may lie elsewhere, or be of another shape, in each epoch; a face is not in every picture."""
    return dataset.crop and (dataset.crop_style in ("random", "face") or dataset.crop_aspect == "random")


def reads_instance_prompt(dataset: DatasetConfig) -> bool:
    """Whether the captions of ``dataset`` are, or begin with, its ``instance_prompt``."""
    if dataset.dataset_type == "conditioning":
        return False
    is_whole = dataset.only_instance_prompt or dataset.caption_strategy == "instanceprompt"
    return is_whole or dataset.prepend_instance_prompt
