"""The one module that fsyncs and renames: a file or folder is visible whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from itertools import chain, count
from pathlib import Path
from typing import Any
from uuid import uuid4

from simpletuner.core.endings import OnError

_CHUNK = 1 << 20
_PARTIAL = ".partial"
_REPLACED = ".replaced"


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable; a rename is not on disk until its parent is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write ``content`` to a hidden neighbour and rename it to ``path``.

    ``durable=False`` skips the fsyncs: for caches, whose entries carry a checksum and can be made again.
    """
    # No two threads, processes or machines that share a disk write to one neighbour.
    partial = path.with_name(f".{uuid4().hex}{_PARTIAL}")
    with OnError(lambda _: partial.unlink(missing_ok=True)), _located(path):
        with _created(partial) as stream:
            _write_all(stream, content)
            if durable:
                os.fsync(stream.fileno())
        partial.replace(path)
    if durable:
        fsync_folder(path.parent)


@contextmanager
def _located(path: Path) -> Iterator[None]:
    """A full disk does not say which one it is."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what :func:`write_bytes` was writing into ``folder`` when it was killed. Only where nobody else writes."""
    for path in folder.glob(f".{'[0-9a-f]' * 32}{_PARTIAL}"):
        path.unlink(missing_ok=True)


def _created(path: Path) -> FileIO:
    """A new file; its folder is looked for only where it turns out to be missing: a cache has 100,000 files in 256."""
    try:
        return FileIO(path, "xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileIO(path, "xb")


def _write_all(stream: FileIO, content: bytes) -> None:
    """Write ``content``, of which the system takes 2 GB at a time."""
    left = memoryview(content)
    while left:
        left = left[stream.write(left) :]


def write_text(path: Path, content: str, *, durable: bool = True) -> None:
    """``write_bytes`` of UTF-8 text."""
    write_bytes(path, content.encode(), durable=durable)


def write_json(path: Path, content: Any, *, durable: bool = True) -> None:
    """Write ``content`` as indented JSON with a final line break."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", durable=durable)


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """Every regular file below ``folder``, sorted, so that two walks agree."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def settle(folder: Path) -> None:
    """Make every file and every folder below ``folder``, and ``folder`` itself, durable."""
    for path in files_below(folder):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    for inner in sorted({path for path in folder.rglob("*") if path.is_dir()} | {folder}):
        fsync_folder(inner)


def commit_folder(partial: Path, final: Path) -> None:
    """Make a finished hidden folder visible under its real name: everything below it is fsynced first."""
    settle(partial)
    publish(partial, final)


def publish(partial: Path, final: Path) -> None:
    """Give a settled hidden folder its real name; a reader sees the whole folder or nothing.

    An existing ``final`` is moved aside first and removed last: put back at once when the rename fails, and by
    :func:`restore_replaced` after a kill. What is no folder of ours, a file or a link, is moved aside and kept.
    """
    replaced = final.with_name(f".{final.name}{_REPLACED}")
    if final.is_symlink() or final.is_file():
        final.rename(unused_name(final.with_name(f"{final.name}.aside")))
    elif final.exists():
        remove_folder(replaced)
        final.rename(replaced)
    try:
        partial.rename(final)
    except OSError:
        if replaced.exists():
            replaced.rename(final)
        raise
    fsync_folder(final.parent)
    # The new folder is on disk: a former one that cannot be removed now is swept at the next start.
    with suppress(OSError):
        remove_folder(replaced)


def unused_name(path: Path) -> Path:
    """``path``, or ``path-2``, ``path-3`` ...: the first that nothing has."""
    names = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(name for name in chain((path,), names) if not name.exists() and not name.is_symlink())


def restore_replaced(folder: Path) -> None:
    """After a kill: put back each folder that was moved aside and has no successor; remove those that have one."""
    for replaced in sorted(folder.glob(f".*{_REPLACED}")):
        final = folder / replaced.name.removesuffix(_REPLACED)[1:]
        if final.exists():
            remove_folder(replaced)
        else:
            replaced.rename(final)


def commit_into(partial: Path, folder: Path) -> None:
    """Move each file and folder of the hidden ``partial`` into ``folder``, replacing those of the same name.

    Each becomes visible whole. ``partial`` is gone afterwards.
    """
    for path in sorted(partial.iterdir()):
        if path.is_dir():
            commit_folder(path, folder / path.name)
            continue
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        path.replace(folder / path.name)
    fsync_folder(folder)
    partial.rmdir()


def remove_folder(folder: Path) -> None:
    """Remove a folder and all below it; one that is not there is no error."""
    if folder.exists():
        shutil.rmtree(folder)


def forget_cached(folder: Path) -> None:
    """Ask the system to drop what it holds in memory of the files below ``folder``.

    They must be settled. What is read next then comes from the disk, and tells whether the disk has kept it.
    """
    if sys.platform == "linux":
        for path in files_below(folder):
            with path.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
