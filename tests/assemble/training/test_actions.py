"""When a run is saved, and what is kept of it; the run itself is a file that says where it stands."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

from simpletuner.assemble.training.actions import CheckpointAction, Intervals
from simpletuner.core.checkpoints import list_checkpoints, problem_with, written_checkpoint
from simpletuner.core.errors import DataError, ToldError, as_told
from simpletuner.core.events import CheckpointSaved, Event
from simpletuner.core.progress import Progress
from simpletuner.core.retention import Limits
from simpletuner.training.parallel.replicas import Replicas


class Other(Replicas):
    """A process that is not the first, and hears of it that all went well."""

    @property
    def is_first(self) -> bool:
        return False

    def any(self, flag: bool) -> bool:
        assert not flag
        return True


class Writer:
    """Saves a run that is one file; one of several processes when it is not the first."""

    def __init__(self, *, is_first: bool = True) -> None:
        self.parallel = (Replicas if is_first else Other)(torch.device("cpu"))
        self.written: list[int] = []

    def save(self, folder: Callable[[], AbstractContextManager[Path]], progress: Progress) -> None:
        self.written.append(progress.step)
        if self.parallel.is_first:
            with folder() as opened:
                (opened / "step.txt").write_text(str(progress.step))


def action(output_dir: Path, told: list[Event], **more: Any) -> CheckpointAction:
    how: dict[str, Any] = {"saver": Writer(), "intervals": Intervals(steps=4, epochs=1, rolling_steps=2), **more}
    return CheckpointAction(output_dir=output_dir, limits=Limits(2, 1), emit=told.append, **how)


def train(saving: CheckpointAction, steps: int, epoch: int = 5) -> Progress:
    """``steps`` updates, ``epoch`` of them an epoch."""
    progress = Progress()
    for number in range(1, steps + 1):
        ended = number % epoch == 0
        progress = progress.advanced(epoch_ended=ended)
        saving.after_update(progress, epoch_ended=ended)
    return progress


def present(output_dir: Path) -> list[str]:
    return [checkpoint.path.name for checkpoint in list_checkpoints(output_dir)]


def test_steps_epochs_and_rolling_ones_fall_where_they_should(tmp_path: Path) -> None:
    told: list[Event] = []
    train(action(tmp_path, told), 10)
    names = [event.path.name for event in told if isinstance(event, CheckpointSaved)]
    assert names == [
        "checkpoint-2-rolling",
        "checkpoint-4",
        "checkpoint-5",
        "checkpoint-6-rolling",
        "checkpoint-8",
        "checkpoint-10",
    ]
    assert present(tmp_path) == ["checkpoint-6-rolling", "checkpoint-8", "checkpoint-10"]


@pytest.mark.parametrize("intervals", [Intervals(), Intervals(0, 0, 0), Intervals(steps=100, epochs=3)])
def test_no_interval_no_save(tmp_path: Path, intervals: Intervals) -> None:
    told: list[Event] = []
    train(action(tmp_path, told, intervals=intervals), 10)
    assert told == []


def test_the_last_step_is_saved_once(tmp_path: Path) -> None:
    told: list[Event] = []
    saving = action(tmp_path, told)
    saving.save(train(saving, 8))
    assert saving.saver.written.count(8) == 1
    assert present(tmp_path)[-1] == "checkpoint-8"


def test_a_rolling_one_of_the_last_step_becomes_the_ordinary_one(tmp_path: Path) -> None:
    saving = action(tmp_path, [])
    saving.save(train(saving, 6))
    assert saving.saver.written.count(6) == 1
    assert present(tmp_path) == ["checkpoint-5", "checkpoint-6"]
    assert problem_with(tmp_path / "checkpoint-6") is None


def test_after_an_update_that_was_left_out_no_older_one_goes(tmp_path: Path) -> None:
    """Weights may be ruined and finite: then no update succeeds, and what was saved before is all that is good."""
    saving = action(tmp_path, [], intervals=Intervals(steps=1))
    progress = train(saving, 2)
    for step in (3, 4, 5):
        progress = progress.leaving_out(step).advanced(epoch_ended=False)
        saving.after_update(progress, epoch_ended=False)
    assert present(tmp_path) == [f"checkpoint-{step}" for step in range(1, 6)]
    saving.after_update(progress.advanced(epoch_ended=False), epoch_ended=False)
    assert present(tmp_path) == ["checkpoint-5", "checkpoint-6"]


def test_where_the_rolling_one_cannot_become_the_ordinary_one_that_is_written(tmp_path: Path) -> None:
    """An ordinary one of this step may be left from a run that went on from another checkpoint."""
    saving = action(tmp_path, [])
    end = train(saving, 6)
    with written_checkpoint(tmp_path, 6) as folder:
        (folder / "step.txt").write_text("of an earlier run")
    saving.save(end)
    assert (tmp_path / "checkpoint-6" / "step.txt").read_text() == "6"
    saving = action(tmp_path, [])
    end = train(saving, 6)
    shutil.rmtree(tmp_path / "checkpoint-6-rolling")
    shutil.rmtree(tmp_path / "checkpoint-6")
    saving.save(end)
    assert present(tmp_path)[-1] == "checkpoint-6"
    assert saving.saved_step == 6


def test_a_disk_that_refuses_the_ordinary_name_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving = action(tmp_path, [])
    end = train(saving, 6)

    def refuse(path: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(DataError, match=r"checkpoint-6: the disk takes no more: Input/output error"):
            saving.save(end)
    saving.save(end)
    assert present(tmp_path) == ["checkpoint-4", "checkpoint-5", "checkpoint-6-rolling"], "it is not tried again"


def test_a_save_that_the_first_process_could_not_make_is_not_tried_again_in_another(tmp_path: Path) -> None:
    """It would wait for a process that has ended."""

    class Refused(Writer):
        def save(self, folder: Callable[[], AbstractContextManager[Path]], progress: Progress) -> None:
            super().save(folder, progress)
            raise ToldError(as_told(DataError("the disk is low")))

    saving = action(tmp_path, [], saver=Refused(is_first=False))
    with pytest.raises(ToldError, match="the disk is low"):
        train(saving, 2)
    saving.save(Progress(step=2))
    assert saving.saver.written == [2]


def test_a_step_saved_before_the_resume_is_not_saved_again(tmp_path: Path) -> None:
    saving = action(tmp_path, [], saved_step=7)
    saving.save(Progress(step=7))
    assert present(tmp_path) == []


def test_a_save_that_was_refused_is_not_tried_again(tmp_path: Path) -> None:
    """The run ends with the first error, and what saves before it ends does not run into the same wall."""

    def refuse() -> None:
        raise DataError("the disk is low")

    saving = action(tmp_path, [], ready=refuse)
    with pytest.raises(DataError, match="the disk is low"):
        train(saving, 2)
    saving.save(Progress(step=2))
    with pytest.raises(DataError, match="the disk is low"):
        saving.save(Progress(step=3))
    assert saving.saver.written == [2, 3]
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_does_not_write_leaves_the_folder_alone(tmp_path: Path) -> None:
    told: list[Event] = []
    saving = action(tmp_path, told, saver=Writer(is_first=False))
    saving.save(train(saving, 6))
    assert saving.saver.written == [2, 4, 5, 6], "it hands out its parts at the same steps"
    assert list(tmp_path.iterdir()) == []
    assert not any(isinstance(event, CheckpointSaved) for event in told)
