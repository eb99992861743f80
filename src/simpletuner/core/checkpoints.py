"""A checkpoint folder on disk: committed whole, covered by checksums, found again only when it verifies.

No torch here, so that this code can be killed at every system call in a test that costs nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from simpletuner.core.disk import disk_error
from simpletuner.core.endings import OnError
from simpletuner.core.errors import DataError
from simpletuner.core.files import (
    commit_into,
    files_below,
    publish,
    remove_folder,
    remove_unfinished,
    restore_replaced,
    settle,
    sha256,
    write_json,
)

MANIFEST = "manifest.json"
# Where files are written one by one, and one that a kill broke off may lie.
_WITH_FILES = ("", "validation_images", "benchmarks/base_model")
BEST = "checkpoint-best"
"""The folder of the weights with the lowest evaluation loss; its manifest says of which step they are."""
# One spelling a number: of checkpoint-7 and checkpoint-007 only the first can be ours.
_NAME = re.compile(r"checkpoint-(0|[1-9][0-9]*)(-rolling)?")
_VERSION = 1
_SEAL = "sha256"
_GONE = (errno.ENOENT, errno.ESTALE)


@dataclass(frozen=True)
class Checkpoint:
    """A visible checkpoint folder."""

    step: int
    path: Path
    is_rolling: bool = False

    @property
    def age(self) -> tuple[int, bool]:
        """What checkpoints are sorted by, the newest last: of two of one step the ordinary one (SPEC 10 no. 79)."""
        return self.step, not self.is_rolling


def checkpoint_name(step: int, *, is_rolling: bool = False) -> str:
    """The folder name of a checkpoint (SPEC 6.1)."""
    return f"checkpoint-{step}-rolling" if is_rolling else f"checkpoint-{step}"


def list_checkpoints(output_dir: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints below ``output_dir``, the newest last, whole or not. Links and other names do not count."""
    if not output_dir.is_dir():
        return ()
    found = ((_NAME.fullmatch(path.name), path) for path in output_dir.iterdir() if _is_folder(path))
    checkpoints = (Checkpoint(int(match[1]), path, bool(match[2])) for match, path in found if match)
    return tuple(sorted(checkpoints, key=lambda checkpoint: checkpoint.age))


def strays(output_dir: Path) -> tuple[Path, ...]:
    """What is named like a checkpoint and is none: ``checkpoint-old``, ``checkpoint-7-tmp``, a file, a link.

    ``checkpoint-best`` is a copy that ``latest`` does not take.
    """
    if not output_dir.is_dir():
        return ()
    ours = {checkpoint.path for checkpoint in list_checkpoints(output_dir)}
    return tuple(path for path in sorted(output_dir.glob("checkpoint*")) if path not in ours)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


@contextmanager
def written_checkpoint(output_dir: Path, step: int, *, is_rolling: bool = False) -> Iterator[Path]:
    """A hidden folder to write into; it becomes ``checkpoint-<step>`` when the block ends without an error.

    All is fsynced, the manifest with every file's SHA-256 is written last, then the folder is renamed. Raises
    DataError when the disk refuses; what was there before is there still.
    """
    with _written(output_dir / checkpoint_name(step, is_rolling=is_rolling), step) as partial:
        yield partial


@contextmanager
def written_best(output_dir: Path, step: int) -> Iterator[Path]:
    """The same for ``checkpoint-best``, in place of the one before."""
    with _written(output_dir / BEST, step) as partial:
        yield partial


@contextmanager
def _written(final: Path, step: int) -> Iterator[Path]:
    with _partial(final.with_name(f".{final.name}.partial")) as partial:
        yield partial
        hashes = {path.relative_to(partial).as_posix(): sha256(path) for path in files_below(partial)}
        settle(partial)
        write_json(partial / MANIFEST, sealed({"version": _VERSION, "step": step, "files": hashes}))
        publish(partial, final)


@contextmanager
def written_result(output_dir: Path) -> Iterator[Path]:
    """A hidden folder whose files move into ``output_dir`` when the block ends without an error.

    Raises DataError when the disk refuses.
    """
    with _partial(output_dir / ".result.partial") as partial:
        yield partial
        commit_into(partial, output_dir)


@contextmanager
def _partial(partial: Path) -> Iterator[Path]:
    """A new empty folder, gone after an error. The folder it lies in is not made: one that is gone was taken away."""
    with OnError(lambda _: _let_go(partial)):
        try:
            remove_folder(partial)
            partial.mkdir()
            yield partial
        except OSError as error:
            # Before anything is let go: it asks how full the disk is.
            named = _refused(error, partial)
            if named is None:
                raise
            raise named from error


def _let_go(partial: Path) -> None:
    # What cannot be removed on a disk that fails is hidden, and swept at the next start; the first error is told.
    with suppress(OSError):
        remove_folder(partial)


def _refused(error: OSError, partial: Path) -> DataError | None:
    output_dir = partial.parent
    if error.errno in _GONE and not partial.exists():
        cure = "put it back under its name, and start the same command again"
        return DataError("the output folder was deleted or renamed during the run", file=output_dir, cure=cure)
    return disk_error(error, output_dir)


def problem_with(path: Path) -> str | None:
    """Why the checkpoint at ``path`` cannot be trusted, or None when every file matches its manifest.

    Files beside those that the manifest names are nobody's business: a resume reads none of them.
    """
    try:
        return damage_of(path)
    except OSError as error:
        return f"it cannot be read ({error})"


def damage_of(path: Path) -> str | None:
    """What is wrong with the files of the checkpoint at ``path``, or None.

    Raises OSError where the disk does not say: what cannot be read today may be whole.
    """
    try:
        hashes = manifest_of(path)
    except FileNotFoundError:
        return f"it has no {MANIFEST}: it was not written by this program, or it is not whole"
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return f"its manifest cannot be read ({error})"
    for name, expected in hashes.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if sha256(file) != expected:
            return f"{name} does not match its checksum"
    return None


def manifest_of(path: Path) -> Mapping[str, str]:
    """The SHA-256 of each file of a checkpoint by its relative path.

    Raises OSError, or ValueError, KeyError or TypeError for a manifest that is none of ours.
    """
    hashes = dict(_manifest(path)["files"])
    outside = [name for name in hashes if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if outside:
        raise ValueError(f"it names a file outside: {outside[0]}")
    if not hashes:
        raise ValueError("it names no file")
    return hashes


def saved_step(path: Path) -> int:
    """The step that the manifest of a verified checkpoint names, whatever its folder is called."""
    return int(_manifest(path)["step"])


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with a checksum of itself: what covers the other files is covered, too."""
    content = json.dumps({key: manifest[key] for key in sorted(manifest) if key != _SEAL}, sort_keys=True)
    return {**manifest, _SEAL: hashlib.sha256(content.encode()).hexdigest()}


def _manifest(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text("utf-8"))
    if manifest["version"] != _VERSION:
        raise ValueError(f"its version is {manifest['version']}, and this program reads {_VERSION}")
    if sealed(manifest) != manifest:
        raise ValueError("it does not match its own checksum")
    return manifest


def misplaced(checkpoint: Checkpoint) -> str | None:
    """What a verified checkpoint says of itself where its name says something else; None where they agree."""
    step = saved_step(checkpoint.path)
    return None if step == checkpoint.step else f"it was saved as step {step}, whatever its name says"


def newest_verified(output_dir: Path, skipped: Callable[[Checkpoint, str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies; each newer one is told to ``skipped`` with the reason."""
    for checkpoint in reversed(list_checkpoints(output_dir)):
        problem = problem_with(checkpoint.path) or misplaced(checkpoint)
        if problem is None:
            return checkpoint
        skipped(checkpoint, problem)
    return None


def sweep(output_dir: Path) -> None:
    """Mend what a killed process left: folders moved aside come back, half-written and half-removed ones go.

    Called by the process that holds the lock of ``output_dir``.
    """
    restore_replaced(output_dir)
    for name in _WITH_FILES:
        remove_unfinished(output_dir / name)
    for pattern in (".checkpoint-*", ".result.partial"):
        for path in output_dir.glob(pattern):
            if path.is_dir():
                remove_folder(path)
