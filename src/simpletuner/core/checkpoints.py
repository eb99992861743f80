"""A checkpoint folder on disk: committed whole, covered by checksums, found again only when it verifies.

No torch here, so that this code can be killed at every system call in a test that costs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from simpletuner.core.files import (
    commit_folder,
    commit_into,
    files_below,
    remove_folder,
    restore_replaced,
    sha256,
    write_json,
)

MANIFEST = "manifest.json"
_NAME = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A visible checkpoint folder; ordered by step."""

    step: int
    path: Path


def list_checkpoints(output_dir: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints below ``output_dir`` by step, whole or not. Other names and hidden folders do not count."""
    if not output_dir.is_dir():
        return ()
    found = ((_NAME.fullmatch(path.name), path) for path in output_dir.iterdir() if path.is_dir())
    return tuple(sorted(Checkpoint(int(match[1]), path) for match, path in found if match))


@contextmanager
def written_checkpoint(output_dir: Path, step: int) -> Iterator[Path]:
    """A hidden folder to write into; it becomes ``checkpoint-<step>`` when the block ends without an error.

    The manifest with every file's SHA-256 is written last, then all is fsynced and renamed.
    """
    partial = output_dir / f".checkpoint-{step}.partial"
    remove_folder(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        hashes = {path.relative_to(partial).as_posix(): sha256(path) for path in files_below(partial)}
        write_json(partial / MANIFEST, {"version": 1, "step": step, "files": hashes})
        commit_folder(partial, output_dir / f"checkpoint-{step}")
    except BaseException:
        remove_folder(partial)
        raise


@contextmanager
def written_result(output_dir: Path) -> Iterator[Path]:
    """A hidden folder whose files move into ``output_dir`` when the block ends without an error."""
    partial = output_dir / ".result.partial"
    remove_folder(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        commit_into(partial, output_dir)
    except BaseException:
        remove_folder(partial)
        raise


def problem_with(path: Path) -> str | None:
    """Why the checkpoint at ``path`` cannot be trusted, or None when every file matches its manifest."""
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        hashes = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its manifest cannot be read ({error})"
    for name, expected in hashes.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if sha256(file) != expected:
            return f"{name} does not match its checksum"
    return None


def saved_step(path: Path) -> int:
    """The step that the manifest of a verified checkpoint names, whatever its folder is called."""
    return int(json.loads((path / MANIFEST).read_text())["step"])


def newest_verified(output_dir: Path, skipped: Callable[[Checkpoint, str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies; each newer one is told to ``skipped`` with the reason."""
    for checkpoint in reversed(list_checkpoints(output_dir)):
        problem = problem_with(checkpoint.path)
        if problem is None:
            return checkpoint
        skipped(checkpoint, problem)
    return None


def prune(output_dir: Path, limit: int | None) -> tuple[Checkpoint, ...]:
    """Remove the oldest checkpoints above ``limit``; those removed. None or 0 is no limit.

    The newest one is verified first: nothing is removed on the strength of a checkpoint that cannot be read.
    """
    present = list_checkpoints(output_dir)
    if not limit or limit < 1 or len(present) <= limit or problem_with(present[-1].path):
        return ()
    removed = present[:-limit]
    for checkpoint in removed:
        hidden = checkpoint.path.with_name(f".{checkpoint.path.name}.removed")
        checkpoint.path.rename(hidden)
        remove_folder(hidden)
    return removed


def sweep(output_dir: Path) -> None:
    """Mend what a killed process left: folders moved aside come back, half-written and half-removed ones go."""
    restore_replaced(output_dir)
    for pattern in (".checkpoint-*", ".result.partial"):
        for path in output_dir.glob(pattern):
            if path.is_dir():
                remove_folder(path)
