"""The places that shards may lie in, and what is said when one cannot be used."""

from __future__ import annotations

from typing import Any

import fsspec

from simpletuner.core.errors import ConfigError, DataError, SimpletunerError
from simpletuner.core.optional import optional
from simpletuner.data.sources.bucket import BucketSpec, connect
from simpletuner.data.sources.bucket_faults import faults, short, unlisted
from simpletuner.data.sources.folder import FolderSource

_S3 = "s3://"
_HUB = "hf://"
_CURE = "use hf://datasets/OWNER/NAME or s3://..., or download them to a folder"


def shard_faults(source: str) -> tuple[type[BaseException], ...]:
    """Every kind of exception that a request to the place may end in; S3 and the hub have their own."""
    if source.startswith(_S3):
        return faults()
    if source.startswith(_HUB):
        hub = optional("huggingface_hub.errors", extra="data", needed_for='type "webshart"')
        return (OSError, hub.HTTPError)
    return (OSError,)


def open_shards(source: str) -> tuple[FolderSource, str]:
    """The folder of the shards, and the one shard in it when only one is meant.

    Raises what :func:`shard_faults` names, and ConfigError when there is no such place.
    """
    if source.startswith(("http://", "https://")):
        raise ConfigError("shards are not read over http", file=source, key="source", cure=_CURE)
    try:
        filesystem, root = _connected(source)
        if filesystem.isfile(root):
            folder, _, name = root.rpartition("/")
            return FolderSource(filesystem, folder), name
        if not filesystem.isdir(root):
            raise _nowhere(source)
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"shards are not read there ({error})", file=source, key="source", cure=_CURE) from error
    return FolderSource(filesystem, root.rstrip("/")), ""


def _connected(source: str) -> tuple[Any, str]:
    """The filesystem of a path or URL, and the path on it."""
    if source.startswith(_S3):
        root = source.removeprefix(_S3).rstrip("/")
        return connect(BucketSpec(root.partition("/")[0])), root
    filesystem, root = fsspec.url_to_fs(source)
    return filesystem, root


def _nowhere(source: str) -> ConfigError:
    return ConfigError("there is no such folder or .tar file", file=source, key="source", cure="correct the path")


def shard_unlisted(error: BaseException, source: str) -> SimpletunerError:
    """The error for a place that cannot be listed."""
    if source.startswith(_S3):
        return unlisted(error, source.removeprefix(_S3).partition("/")[0], source)
    if isinstance(error, FileNotFoundError):
        return _nowhere(source)
    return DataError(
        f"cannot be listed ({shard_fault(error, source)})",
        file=source,
        key="source",
        cure="check that it may be read, and the network",
    )


def shard_fault(error: BaseException, source: str) -> str:
    """What went wrong in a few words."""
    if source.startswith(_S3):
        return short(error)
    said = error.strerror if isinstance(error, OSError) else None
    return said or next(iter(str(error).splitlines()), type(error).__name__)
