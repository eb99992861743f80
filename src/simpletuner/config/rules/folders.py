"""Folders that must keep apart: of results, of what is trained on, of what is held out. Pure but for links."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.datasets.storage import KEYS_OF_TYPE
from simpletuner.config.reading.fill import Source
from simpletuner.config.run import RunConfig
from simpletuner.core.errors import ConfigError

Refusal = tuple[str, str]
"""The reason and the cure."""
# Below output_dir a run writes into these, and --fresh moves them aside.
_WRITTEN = ("checkpoint-*", "validation_images", "benchmarks", "logs", "ema", "hub", "transformer")
_ANOTHER = "name another folder"


def output_refused(output: Path, pictures: Path) -> Refusal | None:
    """Why a run that reads ``pictures`` cannot write into ``output``, both full paths without links."""
    if output.is_relative_to(pictures):
        return f"is inside the pictures: what is drawn would be trained on ({pictures})", _ANOTHER
    if pictures.is_relative_to(output):
        first = pictures.relative_to(output).parts[0]
        if any(fnmatch(first, name) for name in _WRITTEN):
            return f"holds the pictures in {first}, where the run writes and --fresh moves all aside", _ANOTHER
    return None


def held_out_refused(held_out: Path, pictures: Path, by: str = "") -> Refusal | None:
    """Why ``held_out`` cannot be evaluated while ``pictures`` is trained on ``by`` a data set, both full paths."""
    if held_out.is_relative_to(pictures) or pictures.is_relative_to(held_out):
        return _both(by), "move some pictures into a folder beside the others"
    return None


def output_problems(
    config: RunConfig, datasets: Sequence[DatasetConfig], source: Source, cwd: Path
) -> Iterator[ConfigError]:
    """A place for results that is no folder, or that shares one with the pictures of a data set."""
    output = (cwd / config.report.output_dir).resolve()
    there = next(path for path in (output, *output.parents) if path.exists())
    if not there.is_dir():
        what = "is" if there == output else f"cannot be made: {there} is"
        yield source.problem("output_dir", f"{what} a file, not a folder", _ANOTHER)
    for folder in dict.fromkeys(dataset.instance_data_dir for dataset in datasets if dataset.instance_data_dir):
        if refused := output_refused(output, folder.resolve()):
            yield source.problem("output_dir", *refused)


def held_out_problems(datasets: Sequence[DatasetConfig], file: Path) -> Iterator[ConfigError]:
    """Data sets for evaluation whose pictures another one trains on."""
    held = [dataset for dataset in datasets if dataset.dataset_type == "eval"]
    trained = [dataset for dataset in datasets if dataset.dataset_type == "image" and dataset.probability > 0]
    for one in held:
        source, key = Source(str(file), f"{one.id}: "), KEYS_OF_TYPE[one.type][0]
        found = (_shared(one, other) for other in trained)
        yield from (source.problem(key, *refused) for refused in islice(filter(None, found), 1))


def _shared(held: DatasetConfig, trained: DatasetConfig) -> Refusal | None:
    by = f" by data set '{trained.id}'"
    if _are_told_apart(held, trained):
        return None
    if held.instance_data_dir is not None and trained.instance_data_dir is not None:
        return held_out_refused(held.instance_data_dir.resolve(), trained.instance_data_dir.resolve(), by)
    keys = set(KEYS_OF_TYPE[held.type])
    is_same = held.type == trained.type and held.model_dump(include=keys) == trained.model_dump(include=keys)
    return (_both(by), "hold out other pictures") if is_same else None


def _both(by: str) -> str:
    return f"is trained on too{by}: a loss on pictures that are learnt says nothing"


def _are_told_apart(one: DatasetConfig, other: DatasetConfig) -> bool:
    """Whether tables or aspects may keep apart what two data sets take of one folder. No other limit does."""
    is_narrower = _below(one, other) or _below(other, one)
    return is_narrower or (one.metadata_backend, one.parquet) != (other.metadata_backend, other.parquet)


def _below(one: DatasetConfig, other: DatasetConfig) -> bool:
    most, least = one.maximum_aspect_ratio, other.minimum_aspect_ratio
    return most is not None and least is not None and most <= least
