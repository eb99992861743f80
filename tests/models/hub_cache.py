"""What the hub's client keeps on disk of a repository that was fetched, made by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

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
