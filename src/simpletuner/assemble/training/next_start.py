"""Where the next start of a run would begin. Looking changes nothing."""

from __future__ import annotations

from pathlib import Path

from simpletuner.config.load import LoadedRun
from simpletuner.config.rules.together import epochs_wanted
from simpletuner.config.sections.length import LengthConfig
from simpletuner.core.checkpoints import Checkpoint, newest_verified, problem_with, saved_step
from simpletuner.core.progress import Progress
from simpletuner.training.checkpoint import state_of


def first_epoch(length: LengthConfig, chosen: Checkpoint | None) -> int:
    """The epoch (from 0) that a run goes on with from ``chosen``; the first one for a fresh run.

    Where nothing is left to train it is the last one, whose latents are there. Raises DataError when the state of
    ``chosen`` cannot be read.
    """
    if chosen is None:
        return 0
    progress = Progress.read(state_of(chosen.path)["progress"])
    is_over = progress.step >= length.max_train_steps > 0 or 0 < epochs_wanted(length) <= progress.epoch
    return max(progress.epoch - (is_over and not progress.epoch_step), 0)


def next_checkpoint(loaded: LoadedRun) -> Checkpoint | None:
    """The checkpoint that the next `train` would go on from, as far as the disk says; None where it begins anew."""
    output_dir, asked = Path(loaded.config.report.output_dir), loaded.config.checkpoints.resume_from_checkpoint
    if not asked:
        return None
    if asked == "latest":
        return newest_verified(output_dir, lambda _checkpoint, _problem: None)
    found = next((path for path in (output_dir / asked, Path(asked).expanduser()) if path.is_dir()), None)
    return Checkpoint(saved_step(found), found) if found and problem_with(found) is None else None
