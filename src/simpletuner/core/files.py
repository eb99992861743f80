"""The one module that fsyncs and renames: a file or folder is visible whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

_CHUNK = 1 << 20
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
    path.parent.mkdir(parents=True, exist_ok=True)
    # No two threads, processes or machines that share a disk write to one neighbour.
    partial = path.with_name(f".{uuid4().hex}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        # A full disk does not say which one it is.
        error.filename = error.filename or str(path)
        partial.unlink(missing_ok=True)
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if durable:
        fsync_folder(path.parent)


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


def commit_folder(partial: Path, final: Path) -> None:
    """Make a finished hidden folder visible under its real name.

    Every file and folder below ``partial`` is fsynced, then the rename happens, then the parent is fsynced: a
    reader sees the whole folder or nothing. An existing ``final`` is moved aside first and removed last; killed in
    between, :func:`restore_replaced` puts it back.
    """
    for path in files_below(partial):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    for folder in sorted({path.parent for path in files_below(partial)} | {partial}):
        fsync_folder(folder)
    replaced = final.with_name(f".{final.name}{_REPLACED}")
    if final.exists():
        remove_folder(replaced)
        final.rename(replaced)
    partial.rename(final)
    fsync_folder(final.parent)
    remove_folder(replaced)


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
