"""The door to stores that are not the hub: ``python -m simpletuner.observe.publish.store``, see :mod:`.child`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fsspec

from simpletuner.core.checkpoints import MANIFEST, manifest_of
from simpletuner.core.errors import ConfigError
from simpletuner.core.optional import optional
from simpletuner.observe.publish.child import Door, serve
from simpletuner.observe.publish.job import Answer, Job

_PASSING = ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError")
_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError")
_CONNECT_SECONDS = 10
_READ_SECONDS = 60


def push(job: Job) -> Answer:
    """Put each file below the target, in the order given. Raises whatever the store's library raises."""
    filesystem = _OPEN[job.facts["provider"]](job.facts)
    for name in job.files:
        filesystem.put_file(str(Path(job.folder) / name), f"{job.target}/{name}".lstrip("/"))
    return Answer("done")


def fetch(job: Job) -> Answer:
    """Take a checkpoint from the store: its manifest, and the files that this names. It is not verified here."""
    filesystem, folder = _OPEN[job.facts["provider"]](job.facts), Path(job.folder)
    try:
        filesystem.get_file(f"{job.target}/{MANIFEST}", str(folder / MANIFEST))
    except FileNotFoundError:
        return Answer("refused", f"there is no checkpoint with a {MANIFEST}")
    for name in manifest_of(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        filesystem.get_file(f"{job.target}/{name}", str(folder / name))
    return Answer("done")


def refusal(error: Exception) -> str | None:
    """Why the store does not want an upload at all; None when trying again may be of use.

    Nothing here quotes the store: its answer may quote our credentials.
    """
    name = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket or container, or not all of it"
    if isinstance(error, PermissionError):
        return "the store refuses these credentials"
    return "there are no credentials" if name in _CREDENTIALS else None


def mishap(error: Exception) -> str:
    """What went wrong this time, in a few words."""
    name = type(error).__name__
    return "nobody answers at the address" if name in _PASSING else f"the store failed ({name})"


def _bucket(facts: Mapping[str, str]) -> Any:
    s3fs = optional("s3fs", extra="data", needed_for="publishing_config")
    filesystem = s3fs.S3FileSystem(
        key=facts.get("access_key"),
        secret=facts.get("secret_key"),
        endpoint_url=facts.get("endpoint_url"),
        client_kwargs={"region_name": facts["region"]} if "region" in facts else {},
        config_kwargs={
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
            "retries": {"mode": "standard", "total_max_attempts": 1},
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    # Its own attempts would multiply with ours.
    filesystem.retries = 1
    return filesystem


def _azure(facts: Mapping[str, str]) -> Any:
    return fsspec.filesystem("abfs", connection_string=facts["connection_string"])


def _dropbox(facts: Mapping[str, str]) -> Any:
    return fsspec.filesystem("dropbox", token=facts["token"])


_OPEN: Mapping[str, Callable[[Mapping[str, str]], Any]] = {
    "s3": _bucket,
    "backblaze_b2": _bucket,
    "azure_blob": _azure,
    "dropbox": _dropbox,
}


def _faults() -> tuple[type[Exception], ...]:
    """What a request to a bucket can end in; other stores' own errors end the process, and their last line is told."""
    try:
        boto = optional("botocore.exceptions", extra="data", needed_for="publishing_config")
        aiohttp = optional("aiohttp", extra="data", needed_for="publishing_config")
    except ConfigError:
        return (OSError, RuntimeError, ValueError)
    return (OSError, RuntimeError, ValueError, boto.BotoCoreError, boto.ClientError, aiohttp.ClientError)


if __name__ == "__main__":
    serve(Door({"store": push, "fetch": fetch}, _faults(), refusal, mishap))
