"""What the hub's client keeps on disk of a repository that was fetched, made by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

from simpletuner.core.files import sha256

OLD, NEW = "0123456789abcdef" * 2 + "01234567", "fedcba9876543210" * 2 + "fedcba98"


def keep(cache: Path, repository: str, commit: str, content: Path | None) -> None:
    """Put the folder ``content`` (None: nothing at all) into ``cache`` as the ``commit`` that main is at now."""
    place = cache / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / commit
    if content is None:
        snapshot.mkdir(parents=True)
    else:
        shutil.copytree(content, snapshot)
    move(cache, repository, commit)


def move(cache: Path, repository: str, commit: str, branch: str = "main") -> None:
    """Let ``branch`` be at ``commit``."""
    refs = cache / f"models--{repository.replace('/', '--')}" / "refs"
    refs.mkdir(parents=True, exist_ok=True)
    (refs / branch).write_text(commit)


def as_blob(file: Path, snapshot: Path) -> Path:
    """Move ``file`` of ``snapshot`` to where the client has large files, under its SHA-256, and leave a link to it."""
    blob = snapshot.parents[1] / "blobs" / sha256(file)
    blob.parent.mkdir(exist_ok=True)
    file.rename(blob)
    file.symlink_to(blob)
    return blob


def damage(blob: Path) -> None:
    """Change the last byte."""
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
