"""What was fetched from the hub, held against the hashes that the hub names it by. Asks nobody. No torch here."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils.tqdm import tqdm

from simpletuner.core.errors import ConfigError
from simpletuner.core.files import write_json

_SHA256, _GIT = 64, 40
_HASH = re.compile(rf"[0-9a-f]{{{_SHA256}}}|[0-9a-f]{{{_GIT}}}")
_LOADED = frozenset({".safetensors", ".json", ".txt", ".model"})
_PIECE = 1 << 20
_LARGE = 1 << 28
"""Bytes that take about a second to hash: from there on a bar is shown."""


def fetched_folder(repository: str, commit: str | None) -> Path:
    """Where the hub's client keeps a commit of a model (None: of the main branch, as it last heard of it).

    It may not exist.
    """
    below = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
    main = below / "refs" / constants.DEFAULT_REVISION
    if commit is None and main.is_file():
        commit = main.read_text().strip()
    return below / "snapshots" / (commit or "unknown")


def require_whole(folder: Path, key: str) -> None:
    """Refuse a file of ``folder`` that is not what the hub has; ``key`` is the option that named the model.

    Only links into the hub's cache can be judged: what they lead to is named by the SHA-256 of a large file, and by
    git's SHA-1 of a small one. A file is read once. Later a note of its size and time is enough, which lies in the
    hub's folder for assets, never in its cache. Raises ConfigError with the command that removes a damaged file.
    """
    links = sorted(folder.iterdir()) if folder.is_dir() else ()
    for link, blob in ((link, _blob(link)) for link in links):
        if blob is None or _is_known(blob):
            continue
        with _one_at_a_time():
            # Another process of this run may have read it meanwhile.
            if not _is_known(blob):
                _require(link, blob, key)


def _blob(link: Path) -> Path | None:
    """What ``link`` leads to, where that has a hash for a name."""
    if link.suffix not in _LOADED or not link.is_symlink():
        return None
    # One step only: what repositories share lies under another kind of hash.
    blob = link.parent / link.readlink()
    is_named = blob.parent.name == "blobs" and _HASH.fullmatch(blob.name) is not None
    return Path(os.path.normpath(blob)) if is_named and blob.is_file() else None


def _notes() -> Path:
    return Path(constants.HF_ASSETS_CACHE) / "simpletuner" / "verified"


def _note(blob: Path) -> Path:
    return _notes() / f"{hashlib.sha256(str(blob.absolute()).encode()).hexdigest()[:32]}.json"


def _state(blob: Path) -> dict[str, Any]:
    status = blob.stat()
    return {"file": str(blob.absolute()), "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _is_known(blob: Path) -> bool:
    """Whether a note says that the file as it is now was read and is whole."""
    try:
        return bool(json.loads(_note(blob).read_text("utf-8")) == _state(blob))
    except (OSError, ValueError):
        return False


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Of the processes of a run one reads, and the others wait for its note. All of them, on a disk without locks."""
    with ExitStack() as held:
        with suppress(OSError):
            _notes().mkdir(parents=True, exist_ok=True)
            stream = held.enter_context((_notes() / ".lock").open("ab"))
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _require(link: Path, blob: Path, key: str) -> None:
    """Read ``blob``; note that it is whole, or raise ConfigError."""
    state, found = _state(blob), _hash(link, blob)
    if found != blob.name:
        kind = "SHA-256" if len(blob.name) == _SHA256 else "git hash"
        raise ConfigError(
            f"the file is damaged: its {kind} is {found[:16]}..., on the hub it is {blob.name[:16]}...",
            file=link,
            key=key,
            cure=f"`rm {shlex.quote(str(blob.resolve()))}`, then start again with the hub in reach: it is fetched anew",
        )
    # Where nothing can be written the file is read again at the next start.
    with suppress(OSError):
        write_json(_note(blob), state, durable=False)


def _hash(link: Path, blob: Path) -> str:
    """The hash of ``blob`` of the kind that its name is, with a bar where that takes a while."""
    size = blob.stat().st_size
    is_git = len(blob.name) == _GIT
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if is_git else hashlib.sha256()
    told = f"checking {link.parent.name}/{link.name}, once"
    look: dict[str, Any] = {"unit": "B", "unit_scale": True, "mininterval": 1, "disable": size < _LARGE}
    bar = tqdm(total=size, desc=told, **look)  # type: ignore[no-untyped-call]
    with bar, blob.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
            bar.update(len(piece))
    return digest.hexdigest()
