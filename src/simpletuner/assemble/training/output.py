"""The output folder: who works in it, which checkpoint a run goes on from, and when it may start over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from simpletuner.config.rules.checkpoints import absent, named_folder
from simpletuner.core.checkpoints import (
    BEST,
    MANIFEST,
    Checkpoint,
    list_checkpoints,
    newest_verified,
    problem_with,
    saved_step,
    strays,
    sweep,
)
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.events import Emit, Notice
from simpletuner.core.lock import locked
from simpletuner.core.retention import remove_damaged

SCRIPT_LOG = "post_checkpoint_script.log"
UPLOAD_LOG = "post_upload_script.log"
HUB = "hub"
"""The folder of what is uploaded to the hub."""
_OF_ONE_RUN = (
    *(
        "checkpoint-*",
        "metrics.jsonl",
        "loss_references.json",
        "loss_yardstick.json",
        "report.json",
        "logs",
        "validation_images",
        "validation_media.jsonl",
        "training_report.html",
        "benchmarks",
        "ema",
    ),
    SCRIPT_LOG,
    UPLOAD_LOG,
    HUB,
)
_ALSO_OF_CHECK = "report.json"
_FINAL = ("pytorch_lora_weights.safetensors", "lycoris_config.json", "transformer")


@contextmanager
def occupied(output_dir: Path, emit: Emit) -> Iterator[None]:
    """Make the folder this run's own inside the block, and remove what a killed process left.

    Raises DataError when it cannot be written, or when another run works in it.
    """
    with ExitStack() as held:
        with _as_data_error(output_dir):
            if output_dir.exists() and not output_dir.is_dir():
                cure = "choose another output_dir"
                raise DataError("is a file, not a folder", file=output_dir, key="output_dir", cure=cure)
            output_dir.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(output_dir, lambda told: emit(Notice(told, level="warning"))))
            list_checkpoints(output_dir)
            sweep(output_dir)
        yield


@contextmanager
def _as_data_error(output_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cure = "choose another output_dir, or make it writable"
        raise DataError(f"cannot write here: {error.strerror}", file=output_dir, key="output_dir", cure=cure) from error


def choose_checkpoint(
    output_dir: Path, asked: str | None, emit: Emit, *, delete_damaged: bool = False
) -> Checkpoint | None:
    """The checkpoint that ``resume_from_checkpoint`` means, or None for a fresh run.

    ``latest`` is the newest one that verifies; damaged ones are told, and deleted when asked to and a whole one is
    there. A damaged or missing checkpoint never starts a fresh run: DataError, or ConfigError for a name that is not
    there. Later ones than a named one stay until the run begins (:func:`leave_branch`): it may be refused yet.
    """
    if not asked:
        _refuse_to_mix(output_dir)
        return None
    if asked != "latest":
        return _named(output_dir, asked)
    return _latest(output_dir, emit, delete_damaged=delete_damaged)


def _latest(output_dir: Path, emit: Emit, *, delete_damaged: bool) -> Checkpoint | None:
    skipped: list[Checkpoint] = []

    def tell(checkpoint: Checkpoint, problem: str) -> None:
        skipped.append(checkpoint)
        emit(Notice(f"skipped {checkpoint.path.name}: {problem}", level="warning"))

    chosen = newest_verified(output_dir, tell)
    others = strays(output_dir)
    for path in (path for path in others if not _is_best(path)):
        emit(Notice(f"{path.name} is no checkpoint of this run ({_kind(path)}): ignored"))
    if chosen is None:
        _refuse_to_start_anew(output_dir, skipped, others)
    elif delete_damaged:
        _delete(output_dir, skipped, emit)
    return chosen


def _is_best(path: Path) -> bool:
    return path.name == BEST and (path / MANIFEST).is_file()


def _kind(path: Path) -> str:
    if path.is_symlink():
        return "a link"
    return "its name is none of ours" if path.is_dir() else "a file"


def _refuse_to_start_anew(output_dir: Path, skipped: Sequence[Checkpoint], others: Sequence[Path]) -> None:
    """No whole checkpoint was found: that is a fresh run only where nothing looks like one."""
    if skipped:
        reason = f"none of its {len(skipped)} checkpoints can be read whole"
        cure = "restore one from a copy, or start over with --fresh"
        raise DataError(reason, file=output_dir, key="resume_from_checkpoint", cure=cure)
    alike = [path.name for path in others if (path / MANIFEST).is_file()]
    if alike:
        reason = f"holds what may be a checkpoint under another name: {', '.join(alike)}"
        cure = f"resume_from_checkpoint={alike[-1]}, or start over with --fresh"
        raise DataError(reason, file=output_dir, key="resume_from_checkpoint", cure=cure)


def _delete(output_dir: Path, skipped: Sequence[Checkpoint], emit: Emit) -> None:
    with _as_data_error(output_dir):
        gone = remove_damaged(skipped)
    if gone:
        names = ", ".join(checkpoint.path.name for checkpoint in gone)
        emit(Notice(f"delete_invalid_checkpoints: {names} deleted", level="warning"))


def _refuse_to_mix(output_dir: Path) -> None:
    if list_checkpoints(output_dir) or (output_dir / BEST).is_dir():
        raise DataError(
            "holds checkpoints of an earlier run and resume_from_checkpoint is empty",
            file=output_dir,
            key="resume_from_checkpoint",
            cure="set it to latest, start over with --fresh, or choose another output_dir",
        )


def _named(output_dir: Path, asked: str) -> Checkpoint:
    path = named_folder(output_dir, asked, Path())
    if path is None:
        reason, cure = absent(output_dir, asked)
        raise ConfigError(reason, file=output_dir, key="resume_from_checkpoint", cure=cure)
    if problem := problem_with(path):
        raise DataError(f"cannot resume: {problem}", file=path, cure="resume from another checkpoint, or use --fresh")
    return Checkpoint(step=saved_step(path), path=path)


def leave_branch(output_dir: Path, step: int, emit: Emit) -> None:
    """Move checkpoints after ``step`` aside: the run takes another way from there, and ``latest`` must not go back.

    Raises OSError.
    """
    later = [checkpoint.path for checkpoint in list_checkpoints(output_dir) if checkpoint.step > step]
    best = output_dir / BEST
    if best.is_dir() and problem_with(best) is None and saved_step(best) > step:
        later.append(best)
    if later:
        aside = _move_aside(output_dir, later)
        names = ", ".join(path.name for path in later)
        emit(Notice(f"going on from step {step}: {names} moved to {aside.name}/", level="warning"))


def _move_aside(output_dir: Path, found: Sequence[Path]) -> Path:
    number = 1
    while (aside := output_dir / f"previous-{number}").exists():
        number += 1
    aside.mkdir()
    for path in found:
        path.rename(aside / path.name)
    return aside


def start_over(output_dir: Path, confirm: Callable[[str], bool]) -> None:
    """Move everything of the earlier run into ``previous-<n>/``, after ``confirm``. Nothing is deleted."""
    found = sorted(path for pattern in (*_OF_ONE_RUN, *_FINAL) for path in output_dir.glob(pattern))
    if not found or [path.name for path in found] == [_ALSO_OF_CHECK]:
        return
    if not confirm(f"{output_dir} holds an earlier run; move it aside and start over?"):
        cure = "start it in a terminal and say yes, move the folder away yourself, or choose another output_dir"
        raise DataError("holds an earlier run, and starting over was not confirmed", file=output_dir, cure=cure)
    _move_aside(output_dir, found)
