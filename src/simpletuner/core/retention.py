"""Which checkpoints are kept, and how the others go: only on the strength of a newer one that was read back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from simpletuner.core.checkpoints import Checkpoint, checkpoint_name, damage_of, list_checkpoints, problem_with
from simpletuner.core.files import forget_cached, fsync_folder, remove_folder

_ALWAYS_KEPT = 2


@dataclass(frozen=True)
class Limits:
    """How many ordinary and how many rolling checkpoints stay; None or a number below 1 is no limit."""

    ordinary: int | None = None
    rolling: int | None = None


def superfluous(present: Sequence[Checkpoint], limits: Limits) -> tuple[Checkpoint, ...]:
    """The checkpoints above the limits, of ``present`` with the newest last (SPEC 6.3).

    The newest two stay whatever the limits say: should the newest turn out unreadable, there is one to go back to.
    """
    older = set(present[:-_ALWAYS_KEPT])
    ordinary = [checkpoint for checkpoint in present if not checkpoint.is_rolling]
    rolling = [checkpoint for checkpoint in present if checkpoint.is_rolling]
    return tuple(
        checkpoint
        for kind, limit in ((ordinary, limits.ordinary), (rolling, limits.rolling))
        for checkpoint in (kind[:-limit] if limit and limit > 0 else ())
        if checkpoint in older
    )


def prune(output_dir: Path, limits: Limits, told: Callable[[str], None]) -> tuple[Checkpoint, ...]:
    """Remove what is superfluous; those removed. What hinders it is ``told``: no run ends for it.

    The newest one is read back from the disk first: nothing is removed on the strength of one that is not whole.
    """
    present = list_checkpoints(output_dir)
    going = superfluous(present, limits)
    if not going:
        return ()
    newest = present[-1].path
    try:
        forget_cached(newest)
        problem = problem_with(newest)
        if problem is None:
            return remove_checkpoints(going)
        told(f"{newest.name} is not as it was written ({problem}): the older checkpoints all stay")
    except OSError as error:
        told(f"an old checkpoint could not be removed: {error}")
    return ()


def remove_checkpoints(going: Collection[Checkpoint]) -> tuple[Checkpoint, ...]:
    """Remove checkpoints: each is hidden first, so that none is ever seen half-removed. Raises OSError."""
    for checkpoint in going:
        hidden = checkpoint.path.with_name(f".{checkpoint.path.name}.removed")
        remove_folder(hidden)
        checkpoint.path.rename(hidden)
        fsync_folder(hidden.parent)
        remove_folder(hidden)
    return tuple(going)


def remove_damaged(suspects: Collection[Checkpoint]) -> tuple[Checkpoint, ...]:
    """Remove those of ``suspects`` whose files are damaged, not those that cannot be read just now. Raises OSError."""
    return remove_checkpoints([checkpoint for checkpoint in suspects if _is_damaged(checkpoint)])


def _is_damaged(checkpoint: Checkpoint) -> bool:
    try:
        return damage_of(checkpoint.path) is not None
    except OSError:
        return False


def promote(output_dir: Path, step: int) -> bool:
    """Make the rolling checkpoint of ``step`` the ordinary one, where :func:`may_promote`; whether it is."""
    if not may_promote(output_dir, step):
        return False
    (output_dir / checkpoint_name(step, is_rolling=True)).rename(output_dir / checkpoint_name(step))
    fsync_folder(output_dir)
    return True


def may_promote(output_dir: Path, step: int) -> bool:
    """Whether there is a rolling checkpoint of ``step``, and no ordinary one beside it."""
    ordinary = output_dir / checkpoint_name(step)
    is_taken = ordinary.exists() or ordinary.is_symlink()
    return (output_dir / checkpoint_name(step, is_rolling=True)).is_dir() and not is_taken
