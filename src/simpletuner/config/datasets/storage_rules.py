"""Which keys of a data set its storage needs, and which captions and tables go with which storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.datasets.storage import KEYS_OF_TYPE
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.names import is_on
from simpletuner.core.errors import ConfigError

_NEEDS = {
    "local": ("instance_data_dir",),
    "aws": ("aws_bucket_name",),
    "csv": ("csv_file", "csv_cache_dir", "csv_caption_column"),
    "huggingface": ("dataset_name",),
    "webshart": ("source",),
}
# Words that are names of a storage: its own captions and its own table.
_BOUND_CAPTIONS = ("huggingface", "csv", "webshart")
_BOUND_TABLES = ("huggingface", "webshart")
_CAPTIONS_OF_TYPE = ("huggingface", "csv")
_TEXT_FILES = 'use "textfile" with text files beside the pictures'


def storage_problems(dataset: DatasetConfig, source: Source) -> list[ConfigError]:
    """What the storage needs and does not have, and words that belong to another storage."""
    captioned = () if dataset.dataset_type == "conditioning" else (_captions, _columns)
    checks = (_missing, _address, _credentials, _tables, _table, _files, *captioned)
    return [problem for check in checks for problem in check(dataset, source)]


def missing_folders(datasets: Iterable[DatasetConfig], file: Path) -> list[ConfigError]:
    """One problem that lists every folder of pictures that does not exist."""
    local = [dataset for dataset in datasets if dataset.type == "local"]
    missing = [dataset for dataset in local if dataset.instance_data_dir and not dataset.instance_data_dir.is_dir()]
    if not missing:
        return []
    lines = "".join(f"\n  {dataset.id}: {dataset.instance_data_dir}" for dataset in missing)
    return [
        ConfigError(
            f"no such folder:{lines}", file=file, key="instance_data_dir", cure="create it, or correct the path"
        )
    ]


def idle_storage(entry: Mapping[str, Any], dataset: DatasetConfig) -> Iterator[str]:
    """Keys that the user gave and that another storage would read."""
    others = [key for kind, keys in KEYS_OF_TYPE.items() if kind != dataset.type for key in keys]
    idle = [key for key in others if is_on(entry.get(key))]
    if idle:
        yield f"not read: {', '.join(idle)} (its type is {dataset.type})"
    if is_on(entry.get("parquet")) and dataset.metadata_backend != "parquet":
        yield f"not read: parquet (its metadata_backend is {dataset.metadata_backend})"


def _missing(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    values = dict(dataset)
    for key in _NEEDS[dataset.type]:
        idle = key == "csv_caption_column" and dataset.dataset_type == "conditioning"
        if values[key] is None and not idle:
            example = (DatasetConfig.model_fields[key].examples or ["..."])[0]
            yield source.problem(key, f"is missing, and type {dataset.type} needs it", f'add "{key}": "{example}"')


def _address(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    address = dataset.aws_endpoint_url
    # The address may hold a password, so that the message does not show it.
    if address is not None and not address.startswith(("http://", "https://")):
        yield source.problem("aws_endpoint_url", "is no address", 'write it as "https://host:port"')


def _credentials(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    pair = {
        "aws_access_key_id": dataset.aws_access_key_id,
        "aws_secret_access_key": dataset.aws_secret_access_key,
    }
    missing = [key for key, value in pair.items() if value is None]
    if len(missing) == 1:
        cure = "give both, or none to use the credentials of the machine; is a variable of {env:NAME} not set?"
        yield source.problem(missing[0], "is missing, and the other half of the key is given", cure)


def _tables(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    table, storage, key = dataset.metadata_backend, dataset.type, "metadata_backend"
    if table in _BOUND_TABLES and storage != table:
        yield source.problem(key, f"{table} goes with type {table}, and the type is {storage}", 'use "discovery"')
    if storage == "huggingface" and table != "huggingface":
        yield source.problem(key, f"type huggingface needs huggingface, not {table}", f'add "{key}": "huggingface"')
    if table == "parquet" and storage in ("csv", "webshart"):
        cure = f'use "{storage if storage in _BOUND_TABLES else "discovery"}"'
        yield source.problem(key, f"parquet goes with type local or aws, and the type is {storage}", cure)


def _table(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    table = dataset.parquet
    if table is None and dataset.metadata_backend == "parquet":
        cure = 'add "parquet": {"path": "...", "filename_column": "..."}'
        yield source.problem("parquet", "is missing, and metadata_backend parquet needs it", cure)
    for name, block in (("parquet", table), ("huggingface", dataset.huggingface)):
        edges = {} if block is None else {"width_column": block.width_column, "height_column": block.height_column}
        absent = [key for key, column in edges.items() if column is None]
        if len(absent) == 1:
            yield source.problem(f"{name}.{absent[0]}", "is missing beside the other edge", "give both or none")


def _files(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    files = {"csv_file": dataset.csv_file} if dataset.type == "csv" else {}
    if dataset.parquet is not None and dataset.metadata_backend == "parquet":
        files["parquet.path"] = dataset.parquet.path
    for key, path in files.items():
        if path is not None and "://" not in path and not Path(path).is_file():
            yield source.problem(key, f"there is no file {path}", "create it, or correct the path")


def _captions(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    strategy, storage, key = dataset.caption_strategy, dataset.type, "caption_strategy"
    if strategy in _BOUND_CAPTIONS and storage != strategy:
        yield source.problem(key, f"{strategy} goes with type {strategy}, and the type is {storage}", _TEXT_FILES)
    elif storage in _CAPTIONS_OF_TYPE and strategy != storage:
        yield source.problem(key, f"type {storage} needs {storage}, not {strategy}", f'add "{key}": "{storage}"')
    elif strategy == "parquet" and dataset.metadata_backend != "parquet":
        reason = f"parquet needs metadata_backend parquet, and it is {dataset.metadata_backend}"
        yield source.problem(key, reason, f'{_TEXT_FILES}, or add "metadata_backend": "parquet" and a parquet block')


def _columns(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    table = dataset.parquet
    if dataset.caption_strategy == "parquet" and table is not None and not table.caption_column:
        cure = 'add "caption_column": "..." to the block'
        yield source.problem("parquet.caption_column", "is missing, and caption_strategy parquet needs it", cure)
    inner, outer = dataset.huggingface.caption_column, dataset.caption_column
    if inner and outer and inner != outer:
        reason = "is given in the huggingface block too, and they differ"
        yield source.problem("caption_column", reason, "keep one of them")
