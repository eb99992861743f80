"""A checkpoint that lies in a store: fetched into the output folder, verified there, and then one like the others."""

from __future__ import annotations

import re
from pathlib import Path

from simpletuner.config.files.destinations import Destination
from simpletuner.config.load import LoadedRun
from simpletuner.core.checkpoints import problem_with
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.events import Emit, Notice
from simpletuner.core.files import commit_folder, remove_folder
from simpletuner.observe.publish.courier import Courier
from simpletuner.observe.publish.job import Job, time_for
from simpletuner.observe.publish.shareable import scrub_of

_KEY = "resume_from_checkpoint"
_BUCKETS = ("s3", "backblaze_b2")
_NAME = re.compile(r"checkpoint-(\d+(-rolling)?|best)")
# How long it may take is not known before it is here; Ctrl-C ends it.
_LARGEST = 50_000_000_000


def resumed_from(loaded: LoadedRun, emit: Emit) -> str | None:
    """``resume_from_checkpoint`` as a name in the output folder; what lies in a store is fetched there first.

    Raises ConfigError when no store of ``publishing_config`` is meant, DataError when no whole checkpoint comes.
    """
    asked, output_dir = loaded.config.checkpoints.resume_from_checkpoint, Path(loaded.config.report.output_dir)
    if not asked or not _is_remote(asked, loaded, output_dir):
        return asked
    store, key = _place(asked, loaded)
    name = key.rpartition("/")[2]
    if not _NAME.fullmatch(name):
        cure = "name the folder of a checkpoint: s3://bucket/path/checkpoint-500"
        raise ConfigError(f"'{name}' is no name of a checkpoint", key=_KEY, cure=cure)
    here = output_dir / name
    if here.is_dir() and problem_with(here) is None:
        emit(Notice(f"{name} is here already, and whole: it is not fetched"))
        return name
    _fetch(loaded, store, key, here)
    emit(Notice(f"{name} was fetched from s3://{store.root}/{key}"))
    return name


def _is_remote(asked: str, loaded: LoadedRun, output_dir: Path) -> bool:
    """An address is; a path is one that is not here, where there is a store that may have it."""
    if "://" in asked:
        return True
    is_here = Path(asked).expanduser().is_dir() or (output_dir / asked).is_dir()
    return "/" in asked and not is_here and bool(_stores(loaded))


def _stores(loaded: LoadedRun) -> list[Destination]:
    return [destination for destination in loaded.destinations if destination.provider in _BUCKETS]


def _place(asked: str, loaded: LoadedRun) -> tuple[Destination, str]:
    """The store and the key in its bucket."""
    scheme, is_address, path = asked.rpartition("://")
    bucket, _, key = path.strip("/").partition("/") if is_address else ("", "", path.strip("/"))
    found = [store for store in _stores(loaded) if scheme in ("", "s3") and bucket in ("", store.root)]
    if not found:
        reason = f"'{asked}' is in no store of publishing_config"
        cure = (
            f'add {{"provider": "s3", "bucket": "{bucket or "..."}"}} to publishing_config, or name one on this machine'
        )
        raise ConfigError(reason, key=_KEY, cure=cure)
    return found[0], key


def _fetch(loaded: LoadedRun, store: Destination, key: str, here: Path) -> None:
    partial = here.with_name(f".{here.name}.fetched")
    remove_folder(partial)
    partial.mkdir(parents=True)
    secrets = {name: secret.get_secret_value() for name, secret in store.secrets.items()}
    facts = {"provider": store.provider, **store.place, **secrets}
    job = Job("fetch", f"{store.root}/{key}", str(partial), facts=facts, seconds=time_for(_LARGEST))
    courier = Courier(loaded.environ, scrub_of(loaded))
    try:
        answer = courier.wait(courier.send(job), lambda: False)
        assert answer is not None
        reason = answer.reason if answer.outcome != "done" else problem_with(partial)
        if reason is None:
            commit_folder(partial, here)
            return
    finally:
        courier.close()
        remove_folder(partial)
    where = f"s3://{store.root}/{key}"
    raise DataError(
        f"cannot resume: {reason}", file=where, key=_KEY, cure="try again, or resume from another checkpoint"
    )
