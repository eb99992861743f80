"""A data set of the Hugging Face Hub, or a local folder in the same form, through `datasets`. Its code is never run."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.optional import optional
from simpletuner.data.entries import PictureError, Refusal, UnreachableError
from simpletuner.data.places.geometry import Size
from simpletuner.data.sources.base import Facts, Listing
from simpletuner.data.sources.cells import cell, facts_of, require_columns
from simpletuner.data.sources.kinds import Sorter

_FOR = 'type "huggingface"'
_SUFFIX = ".jpg"
_BATCH = 1_000


@dataclass(frozen=True)
class HubFilter:
    """Rows that are left out: too small by the width and height columns, or below a quality.

    ``quality_thresholds`` are least values by name inside ``quality_column``; ``collection`` are the values of the
    column ``collection`` that are kept, empty for all.
    """

    min_width: int = 0
    min_height: int = 0
    quality_column: str | None = None
    quality_thresholds: Mapping[str, float] = field(default_factory=dict)
    collection: tuple[str, ...] = ()


@dataclass(frozen=True)
class HubSpec:
    """A data set and what its columns mean. ``cache_dir`` None is the hub's own cache."""

    dataset: str
    split: str = "train"
    revision: str | None = None
    image_column: str = "image"
    caption_columns: tuple[str, ...] = ()
    fallback_caption_column: str | None = None
    width_column: str | None = None
    height_column: str | None = None
    cache_dir: str | None = None
    num_proc: int | None = None
    filter: HubFilter = HubFilter()

    @property
    def asked(self) -> dict[str, str | None]:
        """The columns by the key that names each."""
        captions = {f"caption_column ({number})": column for number, column in enumerate(self.caption_columns, 1)}
        return {
            "image_column": self.image_column,
            **captions,
            "fallback_caption_column": self.fallback_caption_column,
            "width_column": self.width_column,
            "height_column": self.height_column,
            "quality_column": self.filter.quality_column,
            "collection": "collection" if self.filter.collection else None,
        }


class _Loaded(NamedTuple):
    rows: Any
    images: Any
    mark: str
    folders: tuple[Path, ...]


class HubSource:
    """The rows of a split as the virtual files ``0.jpg``, ``1.jpg`` ... Bytes are read when they are asked for."""

    def __init__(self, spec: HubSpec) -> None:
        self._spec = spec
        self._lock = threading.Lock()
        self._found: _Loaded | None = None

    @property
    def where(self) -> str:
        """The data set's name."""
        return self._spec.dataset

    def listing(self) -> Listing:
        """Every row that the filter lets pass. Downloads the data set if it is not in the cache.

        Raises:
            ConfigError: no such data set, revision, split or column.
            DataError: it cannot be downloaded or read.
        """
        loaded = self._loaded()
        sorter, facts = Sorter(), {}
        for number, row in enumerate(self._cells(loaded)):
            path = f"{number}{_SUFFIX}"
            said = self._facts(row, number)
            refusal = _refusal(row, said.size, self._spec.filter)
            if refusal is not None:
                sorter.drop(path, refusal.reason, refusal.cure)
                continue
            sorter.files[path] = f"{loaded.mark}-{number}"
            facts[path] = said
        return sorter.listing(facts)

    def open(self, path: str) -> IO[bytes]:
        """The bytes of a row's picture. Raises OSError."""
        try:
            return io.BytesIO(self.read(path))
        except PictureError as error:
            raise OSError(error.reason) from error

    def read(self, path: str) -> bytes:
        """All bytes of a row's picture. Raises :class:`PictureError`."""
        loaded, number = self._loaded(), _number(path)
        if number is None or number >= len(loaded.images):
            raise PictureError("there is no such row", cure="list the data set anew")
        picture = loaded.images[number][self._spec.image_column]
        if picture is None:
            raise PictureError(
                f'its column "{self._spec.image_column}" is empty', cure="filter the row out of the data set"
            )
        return picture["bytes"] or _beside(picture["path"], loaded.folders)

    def version(self, path: str) -> str:
        """The mark of the data set's files and the row's number; "" when there is no such row."""
        loaded, number = self._loaded(), _number(path)
        return f"{loaded.mark}-{number}" if number is not None and number < len(loaded.images) else ""

    def renamed_from(self, version: str) -> str:
        """Nothing: a row has no name that could change."""
        return ""

    def _loaded(self) -> _Loaded:
        with self._lock:
            if self._found is None:
                self._found = _load(self._spec)
            return self._found

    def _cells(self, loaded: _Loaded) -> Iterator[Mapping[str, Any]]:
        present = loaded.rows.column_names
        asked = [column for column in self._spec.asked.values() if column and column != self._spec.image_column]
        columns = sorted({column if column in present else column.partition(".")[0] for column in asked})
        if not columns:
            return ({} for _ in range(len(loaded.rows)))
        batches = loaded.rows.select_columns(columns).iter(_BATCH)
        return (
            dict(zip(batch, values, strict=True)) for batch in batches for values in zip(*batch.values(), strict=True)
        )

    def _facts(self, row: Mapping[str, Any], number: int) -> Facts:
        spec = self._spec
        try:
            return facts_of(
                row, spec.caption_columns, spec.fallback_caption_column, (spec.width_column, spec.height_column)
            )
        except DataError as error:
            raise DataError(f"row {number}: {error.reason}", file=spec.dataset, cure=error.cure) from None


def _load(spec: HubSpec) -> _Loaded:
    datasets = optional("datasets", extra="data", needed_for=_FOR)
    pyarrow = optional("pyarrow", extra="data", needed_for=_FOR)
    try:
        rows = datasets.load_dataset(
            spec.dataset, split=spec.split, revision=spec.revision, cache_dir=spec.cache_dir, num_proc=spec.num_proc
        )
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise _unloaded(error, spec) from error
    require_columns(spec.asked, rows.column_names, spec.dataset)
    if (spec.filter.min_width or spec.filter.min_height) and not (spec.width_column and spec.height_column):
        raise ConfigError(
            "the filter needs sizes, and no columns hold them",
            key="min_width",
            file=spec.dataset,
            cure="name width_column and height_column, or use minimum_image_size instead",
        )
    try:
        images = rows.select_columns([spec.image_column]).cast_column(spec.image_column, datasets.Image(decode=False))
    except (TypeError, ValueError, pyarrow.ArrowException) as error:
        raise ConfigError(
            f'the column "{spec.image_column}" holds no pictures',
            file=spec.dataset,
            key="image_column",
            cure="name another",
        ) from error
    folders = (spec.dataset, spec.cache_dir or datasets.config.HF_DATASETS_CACHE, datasets.config.HF_CACHE_HOME)
    return _Loaded(rows, images, _mark(rows, spec), tuple(Path(folder).resolve() for folder in folders))


def _mark(rows: Any, spec: HubSpec) -> str:
    """What changes when the data set does: its files lie in a folder that is named after their content."""
    files = [Path(found["filename"]) for found in rows.cache_files]
    told = [f"{file.parent.name}/{file.name}/{file.stat().st_size}" for file in files]
    return hashlib.sha256("\n".join([spec.split, *told]).encode()).hexdigest()[:16]


def _unloaded(error: Exception, spec: HubSpec) -> ConfigError | DataError:
    name, first = type(error).__name__, str(error).partition("\n")[0][:300]
    if isinstance(error, FileNotFoundError):
        return ConfigError(
            f"there is no such data set, or it is closed to you ({first})",
            file=spec.dataset,
            key="dataset_name",
            cure="correct the name; for a closed one, accept its terms and run hf auth login",
        )
    if isinstance(error, (ValueError, RuntimeError)):
        return ConfigError(first, file=spec.dataset, key="huggingface", cure="check split, revision and dataset_name")
    return DataError(f"cannot be loaded ({name}: {first})", file=spec.dataset, cure="check the network, then try again")


def _refusal(row: Mapping[str, Any], size: Size | None, rule: HubFilter) -> Refusal | None:
    if size is not None and (size.width < rule.min_width or size.height < rule.min_height):
        least = f"{rule.min_width}x{rule.min_height}"
        return Refusal(f"the filter leaves it out: {size} is below {least}", "lower min_width and min_height")
    if rule.collection and str(cell(row, "collection")) not in rule.collection:
        return Refusal("the filter leaves it out: it is of another collection", "add the collection")
    for name, lowest in rule.quality_thresholds.items():
        value = cell(row, f"{rule.quality_column}.{name}") if rule.quality_column else cell(row, name)
        if not isinstance(value, (int, float)) or value < lowest:
            return Refusal(
                f"the filter leaves it out: {name} is {value}, at least {lowest} is asked", "lower the threshold"
            )
    return None


def _number(path: str) -> int | None:
    stem = path.removesuffix(_SUFFIX)
    return int(stem) if stem.isdecimal() and path.endswith(_SUFFIX) else None


def _beside(path: str | None, folders: tuple[Path, ...]) -> bytes:
    """A picture that the data set keeps as a file. A row may name any path, so only the data set's own are read."""
    file = Path(path or "").resolve()
    if not path or not any(file.is_relative_to(folder) for folder in folders):
        raise PictureError("the data set holds no bytes of it", cure="filter the row out of the data set")
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnreachableError(f"cannot be read ({error.strerror})", cure="load the data set again") from error
