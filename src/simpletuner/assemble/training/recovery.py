"""Training with what may go wrong in it: weights that go back to a checkpoint, and endings that save first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simpletuner.assemble.stopping import Stopping
from simpletuner.assemble.training.actions import CheckpointAction
from simpletuner.assemble.training.resume import put_back
from simpletuner.core.checkpoints import Checkpoint, newest_verified
from simpletuner.core.errors import (
    DataError,
    ExitCode,
    Interrupted,
    OutOfMemory,
    SimpletunerError,
    Terminated,
    ToldError,
)
from simpletuner.core.events import Notice
from simpletuner.core.progress import Action, Progress
from simpletuner.training.health import HurtError
from simpletuner.training.loop import Course, run
from simpletuner.training.parallel.processes import LostError
from simpletuner.training.update import Engine
from simpletuner.validation.loss.evaluator import Evaluator

# After these all processes save, and so does one that was told of them: a save needs every process.
_SAVED_FIRST = (ExitCode.DATA, ExitCode.MEMORY, ExitCode.INTERRUPTED, ExitCode.TERMINATED)


@dataclass(frozen=True)
class Journey:
    """One training from its start to its end; ``checkpoints`` saves, and what it has saved is gone back to.

    ``evaluator`` goes back with the weights.
    """

    engine: Engine
    course: Course
    checkpoints: CheckpointAction
    stopping: Stopping
    evaluator: Evaluator

    def travel(self, start: Progress, actions: Sequence[Action]) -> Progress:
        """Train to the end of the course; where the run stands then.

        What was learned is saved before a picture that went bad, a single sample too large for memory, or a signal
        ends the run, as long as the processes can exchange anything. Raises what ended it; NonFiniteError when the
        budget for bad updates is used up.
        """
        try:
            return self._with_ways_back(start, actions)
        except (DataError, OutOfMemory, ToldError) as error:
            if error.exit_code in _SAVED_FIRST and not self.engine.parallel.is_torn:
                self._save_before(error)
            raise
        except (Interrupted, Terminated):
            raise self.stopping.ending(self._save()) from None

    def _with_ways_back(self, start: Progress, actions: Sequence[Action]) -> Progress:
        course, emit = self.course, self.checkpoints.emit
        hurt: tuple[int, ...] = ()
        while True:
            try:
                return run(self.engine, course, start, actions, emit)
            except HurtError as error:
                hurt = (*hurt, error.step)
                start = self._way_back(error, hurt)
                course = replace(course, told=max(course.told, error.step - 1))

    def _way_back(self, error: HurtError, hurt: tuple[int, ...]) -> Progress:
        """The newest checkpoint put back, and where the run stands then. Raises ``error`` when there is no way."""
        found = newest_verified(self.checkpoints.output_dir, _pass_over)
        if found is None or not self.course.skips:
            raise error
        # Weights that are only half put back belong to no step: an end before they are whole saves nothing.
        self.checkpoints.latest = None
        start = put_back(self.checkpoints.saver, self.evaluator, found.path).leaving_out(*hurt)
        if len(start.skipped) > self.course.skips:
            raise error
        self.checkpoints.latest, self.checkpoints.saved_step = start, start.step
        self.checkpoints.rolled_step = self.checkpoints.refused_step = -1
        text = f"{error.reason}; back to {found.path.name}, and on without update {error.step}"
        self.checkpoints.emit(Notice(text, level="warning"))
        # A checkpoint is written before the evaluation of its step.
        self.evaluator.before_training(start)
        return start

    def _save_before(self, error: SimpletunerError) -> None:
        """Save before ``error`` ends the run. A save that is refused for another reason is told, and ends nothing."""
        try:
            self._save()
        except (DataError, ToldError, LostError) as refused:
            if refused.reason == error.reason:
                return
            text = f"what was learned since the last checkpoint could not be saved: {refused.reason}"
            self.checkpoints.emit(Notice(text, level="warning"))

    def _save(self) -> str:
        """Save where the run stands; what to say of it."""
        latest = self.checkpoints.latest
        if latest is None:
            return ""
        self.checkpoints.save(latest)
        step = latest.step
        return f"stopped after step {step}; checkpoint-{step} is saved, and the same command goes on from there"


def _pass_over(_checkpoint: Checkpoint, _problem: str) -> None:
    """A damaged one has been told when the run started, or will be when it starts again."""
