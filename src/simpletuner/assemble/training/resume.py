"""Going on from a checkpoint: where the run stands then, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.stage import Stage
from simpletuner.assemble.training.adapter import Laid
from simpletuner.assemble.training.identity import batch_changed, identity_of, told_changes
from simpletuner.assemble.training.length import Length
from simpletuner.config.rules.together import scheduler_in_force
from simpletuner.core.checkpoints import Checkpoint
from simpletuner.core.events import Notice
from simpletuner.core.progress import Progress
from simpletuner.models.source import REVISION
from simpletuner.observe.metrics_file import record_at
from simpletuner.training.checkpoint import Saver, state_of
from simpletuner.validation.loss.evaluator import Evaluator


def saved_seed(chosen: Checkpoint | None) -> int | None:
    """The seed that a run which goes on from ``chosen`` keeps; None for a fresh run."""
    return int(state_of(chosen.path)["fingerprint"]["seed"]) if chosen else None


def saved_commit(chosen: Checkpoint | None) -> str | None:
    """The commit of the hub that the model of ``chosen`` was loaded from; None where it is not known, or a folder."""
    found = state_of(chosen.path)["fingerprint"].get(REVISION) if chosen else None
    return None if found is None else str(found)


def saved_commits(chosen: Checkpoint | None) -> dict[str, str]:
    """The commits of the repositories of the hub that pictures of ``chosen`` were looked at with, by repository."""
    found = state_of(chosen.path)["commits"] if chosen else {}
    return {str(repository): str(commit) for repository, commit in found.items()}


def place(stage: Stage, laid: Laid | None, chosen: Checkpoint, data: TrainingData) -> Progress:
    """Where the run of ``chosen`` goes on in the data as they are now; what is not as it was is told.

    The epochs of ``data`` are counted from there: how long those before it were, only the checkpoint knows.
    """
    progress = Progress.read(state_of(chosen.path)["progress"])
    if batch_changed(chosen, identity_of(stage, laid)):
        told = f"the batch is not that of {chosen.path.name}: epoch {progress.epoch + 1} begins again"
        stage.emit(Notice(told, level="warning"))
        progress = replace(progress, epoch_step=0)
    elif state_of(chosen.path)["data"] != data.digest:
        told = f"the pictures changed since {chosen.path.name}: what is left of this epoch follows the new order"
        stage.emit(Notice(f"{told}, so that some come twice in it and others only in the next", level="warning"))
    data.calendar = data.calendar.going_on(progress.epoch, progress.step - progress.epoch_step)
    if progress.epoch_step >= data.calendar.length(progress.epoch):
        progress = replace(progress, epoch=progress.epoch + 1, epoch_step=0)
        data.calendar = data.calendar.going_on(progress.epoch, progress.step)
    return progress


def put_back(saver: Saver, evaluator: Evaluator, folder: Path) -> Progress:
    """Everything as it was in the checkpoint ``folder``: weights, optimizer, average, evaluations; where the run stood.

    All processes act together. Raises DataError when the checkpoint is damaged or belongs to another run.
    """
    with saver.parallel.together():
        progress = saver.restore(folder)
        evaluator.restore(state_of(folder)["evaluation"])
    return progress


def resume(
    stage: Stage, saver: Saver, evaluator: Evaluator, chosen: Checkpoint, start: Progress, length: Length
) -> None:
    """Put everything back as it was in ``chosen``; where the run goes on, and what is not as it was is told."""
    evaluator.was_told(start.step, record_at(stage.output_dir / "metrics.jsonl", start.step))
    put_back(saver, evaluator, chosen.path)
    told = f"going on from {chosen.path.name}: step {start.step} of {length.steps}, epoch {start.epoch + 1}"
    stage.emit(Notice(told))
    for line in told_changes(chosen, saver.identity):
        stage.emit(Notice(line))
    if stage.loaded.init_lora is not None:
        stage.emit(Notice("init_lora: the checkpoint's values and step are taken"))
    if start.step >= length.steps:
        stage.emit(Notice(f"nothing is left to train: raise max_train_steps above {start.step} to go on"))
    _tell_length(stage, chosen, length)


def _tell_length(stage: Stage, chosen: Checkpoint, length: Length) -> None:
    planned = state_of(chosen.path)["steps"]
    shape = scheduler_in_force(stage.loaded.config.optimizer)
    if planned == length.steps:
        return
    if shape.startswith("constant"):
        stage.emit(Notice(f"the run was planned for {planned} steps, and is for {length.steps} now"))
    else:
        told = f"the run was planned for {planned} steps: the {shape} learning rate is stretched and jumps here"
        stage.emit(Notice(told, level="warning"))
