"""One data set scanned with its index; an index that turns out to be damaged is set aside and made anew."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.core.errors import DataError
from simpletuner.core.events import Emit, Notice
from simpletuner.data.files.index import is_lost, open_index, set_aside
from simpletuner.data.files.rules import refusal_rules
from simpletuner.data.files.scan import ScannedDataset, ScanSpec, scan
from simpletuner.data.sources.base import Source


def index_path(config: DatasetConfig) -> Path:
    """Where the index of a data set lies."""
    return index_file(Path(config.cache_dir_vae), config.id)


def index_file(folder: Path, dataset: str) -> Path:
    """Where the index of the data set with this id lies, whose cache is in ``folder``."""
    return folder / f"index-{dataset}.sqlite"


def scan_indexed(spec: ScanSpec, source: Source, path: Path, emit: Emit) -> ScannedDataset:
    """Scan with the index at ``path``.

    Raises:
        ConfigError: the source does not exist.
        DataError: no picture is left, or the index cannot be used.
    """
    try:
        try:
            return _scanned(spec, source, path, emit)
        except sqlite3.DatabaseError as error:
            if not is_lost(error):
                raise
            # Another process may have done so already.
            if set_aside(path):
                _tell(spec, emit)
            return _scanned(spec, source, path, emit)
    except (OSError, sqlite3.Error) as error:
        raise unusable_index(error, path) from error


def unusable_index(error: Exception, path: Path | None = None) -> DataError:
    """The error for an index that is locked, or cannot be opened or written."""
    cure = "check that cache_dir_vae can be written and has room, and that no other process holds the index"
    return DataError(f"its index cannot be used ({error})", file=path, key="cache_dir_vae", cure=cure)


def _scanned(spec: ScanSpec, source: Source, path: Path, emit: Emit) -> ScannedDataset:
    with open_index(path) as index:
        if index.rebuilt:
            _tell(spec, emit)
        index.judge_by(refusal_rules())
        return scan(spec, source, index, emit=emit, now=time.time())


def _tell(spec: ScanSpec, emit: Emit) -> None:
    emit(Notice(f'data set "{spec.id}": its index was damaged and is made anew', level="warning"))
