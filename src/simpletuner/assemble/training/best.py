"""The best weights so far, kept beside the other checkpoints; and ending when nothing better comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simpletuner.assemble.training.actions import when_ready
from simpletuner.core.checkpoints import BEST, written_best
from simpletuner.core.events import Emit, Notice
from simpletuner.core.progress import Progress
from simpletuner.training.checkpoint import Saver
from simpletuner.validation.loss.evaluator import Evaluator


@dataclass(frozen=True)
class BestCheckpoint:
    """Writes ``checkpoint-best``, a whole checkpoint. All processes save together.

    ``ready`` as in :class:`~simpletuner.assemble.training.actions.CheckpointAction`.
    """

    saver: Saver
    output_dir: Path
    evaluator: Evaluator
    emit: Emit
    ready: Callable[[], None] = lambda: None

    def save(self, progress: Progress) -> None:
        """Put the weights as they stand in the place of the best ones before. Raises DataError where none fit."""
        self.saver.save(lambda: when_ready(self.ready, written_best(self.output_dir, progress.step)), progress)
        best = self.evaluator.judged.best
        if best is not None and self.saver.parallel.is_first:
            self.emit(Notice(f"step {progress.step}: {BEST} has the lowest loss so far, {best.loss:.4f}"))


class EnoughError(Exception):
    """Nothing better has come for as long as the user wants to wait. It ends training, and the run ends well."""

    def __init__(self, progress: Progress) -> None:
        super().__init__("early stop")
        self.progress = progress


@dataclass(frozen=True)
class EarlyStop:
    """Ends training after ``patience`` evaluations in a row that were not better than the best; None never does.

    ``is_kept`` says that there is a :class:`BestCheckpoint`.
    """

    evaluator: Evaluator
    patience: int | None
    emit: Emit
    is_kept: bool = True

    @property
    def has_enough(self) -> bool:
        """Whether training is to end, or has ended before the run was started again."""
        return self.evaluator.judged.has_enough(self.patience)

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """Raises EnoughError when it is enough."""
        del epoch_ended
        if self.has_enough:
            raise EnoughError(progress)

    def travelled(self, start: Progress, travel: Callable[[], Progress]) -> Progress:
        """Where the run stands after ``travel``, or at the early stop, which is told."""
        if self.has_enough:
            return self._told(start)
        try:
            return travel()
        except EnoughError as enough:
            return self._told(enough.progress)

    def _told(self, end: Progress) -> Progress:
        judged = self.evaluator.judged
        since = f" since step {judged.best.step}" if judged.best else ""
        kept = f"the best weights are in {BEST}" if self.is_kept else "the best weights were not kept (checkpoint_best)"
        self.emit(
            Notice(
                f"early stop after step {end.step}: {judged.waited} evaluations without a lower loss{since} "
                f"(early_stop_patience={self.patience}); {kept}"
            )
        )
        return end
