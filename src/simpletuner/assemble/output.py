"""The output folder: which checkpoint a run goes on from, and when it may start over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from simpletuner.core.checkpoints import Checkpoint, list_checkpoints, newest_verified, problem_with, saved_step, sweep
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.events import Emit, Notice

_OF_ONE_RUN = ("checkpoint-*", "metrics.jsonl", "report.json", "logs", "validation_images", "benchmarks", "ema")
_ALSO_OF_CHECK = "report.json"
_FINAL = ("pytorch_lora_weights.safetensors", "lycoris_config.json", "transformer")


def prepare(output_dir: Path) -> None:
    """Make the folder and remove what a killed process left. Raises DataError when it cannot be written."""
    if output_dir.exists() and not output_dir.is_dir():
        raise DataError("is a file, not a folder", file=output_dir, key="output_dir", cure="choose another output_dir")
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        sweep(output_dir)
        probe = output_dir / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        cure = "choose another output_dir, or make it writable"
        raise DataError(f"cannot write here: {error.strerror}", file=output_dir, key="output_dir", cure=cure) from error


def choose_checkpoint(output_dir: Path, asked: str | None, emit: Emit) -> Checkpoint | None:
    """The checkpoint that ``resume_from_checkpoint`` means, or None for a fresh run.

    ``latest`` is the newest one that verifies; damaged ones are told. A damaged or missing checkpoint never starts
    a fresh run: DataError, or ConfigError for a name that is not there.
    """
    if not asked:
        _refuse_to_mix(output_dir)
        return None
    if asked != "latest":
        named = _named(output_dir, asked)
        _leave_branch(output_dir, named.step, emit)
        return named

    def tell(checkpoint: Checkpoint, problem: str) -> None:
        emit(Notice(f"skipped {checkpoint.path.name}: {problem}", level="warning"))

    chosen = newest_verified(output_dir, tell)
    if chosen is None and (present := list_checkpoints(output_dir)):
        raise DataError(
            f"none of its {len(present)} checkpoints can be read whole",
            file=output_dir,
            key="resume_from_checkpoint",
            cure="restore one from a copy, or start over with --fresh",
        )
    return chosen


def _refuse_to_mix(output_dir: Path) -> None:
    if list_checkpoints(output_dir):
        raise DataError(
            "holds checkpoints of an earlier run and resume_from_checkpoint is empty",
            file=output_dir,
            key="resume_from_checkpoint",
            cure="set it to latest, start over with --fresh, or choose another output_dir",
        )


def _named(output_dir: Path, asked: str) -> Checkpoint:
    path = next((path for path in (output_dir / asked, Path(asked).expanduser()) if path.is_dir()), None)
    if path is None:
        names = ", ".join(checkpoint.path.name for checkpoint in list_checkpoints(output_dir)) or "none"
        cure = f"latest, or one of those present: {names}"
        raise ConfigError(f"there is no checkpoint '{asked}'", file=output_dir, key="resume_from_checkpoint", cure=cure)
    if problem := problem_with(path):
        raise DataError(f"cannot resume: {problem}", file=path, cure="resume from another checkpoint, or use --fresh")
    return Checkpoint(step=saved_step(path), path=path)


def _leave_branch(output_dir: Path, step: int, emit: Emit) -> None:
    """Move checkpoints after ``step`` aside: the run takes another way from there, and ``latest`` must not go back."""
    later = [checkpoint.path for checkpoint in list_checkpoints(output_dir) if checkpoint.step > step]
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
