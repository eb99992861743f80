"""References between the entries of the dataloader file: to caches, to masks and to reference pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.datasets.surroundings import Surroundings
from simpletuner.config.lenient import shown
from simpletuner.config.problems import near
from simpletuner.config.reading.fill import Source
from simpletuner.core.errors import ConfigError

MASKS = ("mask", "segmentation")
"""The values of `conditioning_type` that weigh the loss."""
REFERENCES = ("reference_strict", "reference_loose")
"""The values of `conditioning_type` whose pictures stand in the prompt."""
_PICTURES = ("image", "eval")
_CACHES = {"text_embeds": ("text_embeds",), "image_embeds": ("image_embeds",)}
_PAIRS = {"conditioning_data": ("conditioning",), "source_dataset_id": _PICTURES}


def reference_problems(
    datasets: Sequence[DatasetConfig], kinds: Mapping[str, str], around: Surroundings
) -> list[ConfigError]:
    """References that lead nowhere, to the wrong kind of entry or in a circle.

    ``kinds`` are the ids of all entries of the file, caches among them, with their ``dataset_type``.
    """
    circles = _circles(datasets)
    problems = list(_contradictions(datasets, around))
    for dataset in datasets:
        source = Source(str(around.file), f"{dataset.id}: ")
        problems += _role(dataset, source)
        if dataset.id in circles:
            cure = "name a data set of pictures in source_dataset_id"
            problems.append(source.problem("source_dataset_id", f"a circle: {circles[dataset.id]}", cure))
        else:
            problems += _targets(dataset, kinds, source)
    return problems


def linked(datasets: Sequence[DatasetConfig]) -> tuple[DatasetConfig, ...]:
    """The data sets, each with the conditioning data sets that name it as their source and that none names itself."""
    free = [dataset for dataset in datasets if dataset.source_dataset_id and not users_of(dataset, datasets)]
    more: dict[str | None, list[str]] = {}
    for pair in free:
        more.setdefault(pair.source_dataset_id, []).append(pair.id)
    return tuple(_with(dataset, more.get(dataset.id, [])) for dataset in datasets)


def mask_problems(datasets: Sequence[DatasetConfig], around: Surroundings) -> list[ConfigError]:
    """Data sets with two sets of masks; ``datasets`` are linked."""
    masks = {dataset.id for dataset in datasets if dataset.conditioning_type in MASKS}
    problems = []
    for dataset in datasets:
        named = [name for name in dataset.conditioning_data if name in masks]
        if len(named) > 1:
            source = Source(str(around.file), f"{dataset.id}: ")
            cure = "keep one; merge the masks into one picture each"
            problems.append(source.problem("conditioning_data", f"two data sets of masks: {' and '.join(named)}", cure))
    return problems


def users_of(pair: DatasetConfig, datasets: Iterable[DatasetConfig]) -> tuple[str, ...]:
    """The data sets that name ``pair`` in their ``conditioning_data``."""
    return tuple(dataset.id for dataset in datasets if pair.id in dataset.conditioning_data)


def lonely_notices(datasets: Sequence[DatasetConfig]) -> Iterator[str]:
    """Conditioning data sets that no data set uses."""
    for dataset in datasets:
        if dataset.dataset_type == "conditioning" and not users_of(dataset, datasets):
            yield f"data set {dataset.id}: is not used: no data set names it in conditioning_data"


def turn_notices(datasets: Sequence[DatasetConfig], sampling: str) -> Iterator[str]:
    """Data sets with several sets of references, of which each use draws one; ``sampling`` is the option."""
    references = {dataset.id for dataset in datasets if dataset.conditioning_type in REFERENCES}
    for dataset in datasets:
        named = [name for name in dataset.conditioning_data if name in references]
        if len(named) > 1 and sampling == "random":
            told = f"each use draws its reference from one of {' and '.join(named)}"
            yield f"data set {dataset.id}: {told}; conditioning_multidataset_sampling=combined uses all together"


def _with(dataset: DatasetConfig, more: list[str]) -> DatasetConfig:
    return dataset.model_copy(update={"conditioning_data": (*dataset.conditioning_data, *more)}) if more else dataset


def _role(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    is_pair = dataset.dataset_type == "conditioning"
    if is_pair and dataset.conditioning_type is None:
        cure = 'add "conditioning_type": "mask", "segmentation", "reference_strict" or "reference_loose"'
        yield source.problem("conditioning_type", "is missing: what are these pictures", cure)
    if is_pair and dataset.conditioning_data:
        yield source.problem("conditioning_data", "stands on a conditioning data set, which has none", "remove it")
    if is_pair and dataset.is_regularisation_data:
        yield source.problem("is_regularisation_data", "stands on a conditioning data set", "remove it")
    own = {"conditioning_type": dataset.conditioning_type, "source_dataset_id": dataset.source_dataset_id}
    for key in [key for key, value in own.items() if value is not None and not is_pair]:
        reason = f"belongs to a conditioning data set, and dataset_type is {dataset.dataset_type}"
        yield source.problem(key, reason, 'add "dataset_type": "conditioning", or remove the key')


def _targets(dataset: DatasetConfig, kinds: Mapping[str, str], source: Source) -> Iterator[ConfigError]:
    values = dict(dataset)
    for key, wanted in {**_CACHES, **_PAIRS}.items():
        named = values[key] if isinstance(values[key], tuple) else [values[key]]
        for name in [name for name in named if name is not None]:
            fitting = [other for other, kind in kinds.items() if kind in wanted and other != dataset.id]
            if name not in kinds:
                what = "cache entry" if key in _CACHES else "data set"
                cure = near(name, fitting) or f"known: {', '.join(fitting) or 'none'}"
                yield source.problem(key, f"there is no {what} {shown(name)}", cure)
            elif kinds[name] not in wanted:
                reason = f"{shown(name)} is of dataset_type {kinds[name]}, not {' or '.join(wanted)}"
                yield source.problem(key, reason, f"name one of: {', '.join(fitting) or 'none'}")


def _circles(datasets: Iterable[DatasetConfig]) -> dict[str, str]:
    """The data sets from which following the sources leads back, and the way."""
    sources = {dataset.id: dataset.source_dataset_id for dataset in datasets if dataset.source_dataset_id}
    found = {}
    for start in sources:
        way = [start]
        while (following := sources.get(way[-1])) is not None and following not in way:
            way.append(following)
        if following == start:
            found[start] = " -> ".join([*way, start])
    return found


def _contradictions(datasets: Sequence[DatasetConfig], around: Surroundings) -> Iterator[ConfigError]:
    """A source that is not among the data sets that use the pictures: one of the two must be a mistake."""
    for pair in datasets:
        users = users_of(pair, datasets)
        if pair.source_dataset_id and users and pair.source_dataset_id not in users:
            source = Source(str(around.file), f"{pair.id}: ")
            reason = f"is {shown(pair.source_dataset_id)}, and {', '.join(users)} use it in conditioning_data"
            cure = f"name one of these, or add it to conditioning_data of {pair.source_dataset_id}"
            yield source.problem("source_dataset_id", reason, cure)
