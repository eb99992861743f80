"""Several processes, one voice: what is done once, told once, and ends all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from simpletuner.assemble.mishaps import IfRoom
from simpletuner.core.checkpoints import Checkpoint, saved_step
from simpletuner.core.endings import OnError
from simpletuner.core.errors import SimpletunerError
from simpletuner.core.progress import Progress
from simpletuner.training.parallel.base import Parallel
from simpletuner.training.parallel.processes import Processes


class IsDue(Protocol):
    """Whether to draw after the update that ended at ``progress``."""

    def __call__(self, progress: Progress, *, epoch_ended: bool) -> bool:
        """``epoch_ended`` says that it was an epoch's last."""
        ...


@contextmanager
def one_voice(processes: Processes) -> Iterator[None]:
    """Around a whole run. An error is raised in the process that says it to the user, and is SystemExit elsewhere."""

    def torn(error: BaseException) -> None:
        if not isinstance(error, SimpletunerError):
            processes.tear(error)

    try:
        with OnError(torn):
            yield
    except SimpletunerError as error:
        if processes.may_speak(error):
            raise
        raise SystemExit(error.exit_code) from error
    finally:
        processes.leave()


def checkpoint_of_first(processes: Processes, choose: Callable[[], Checkpoint | None]) -> Checkpoint | None:
    """What the first process chooses, in all of them. Raises what it raises; ToldError in the others."""

    def path() -> str:
        chosen = choose()
        return str(chosen.path) if chosen else ""

    found = processes.of_first(path)
    return Checkpoint(saved_step(Path(found)), Path(found)) if found else None


class Drawing:
    """The validator of a run with several processes: the first draws and the others wait, however long it takes.

    Where the model is sharded all of them draw, because each holds a part of it.
    """

    def __init__(
        self,
        validator: IfRoom,
        is_due: IsDue,
        parallel: Parallel,
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """``is_due`` says whether ``validator`` draws after an update: waiting for nothing would slow each one.

        ``alone`` is around what one process draws while the others wait.
        """
        self._validator = validator
        self._is_due = is_due
        self._parallel = parallel
        self._alone = nullcontext if parallel.is_sharded else alone

    def before_training(self, progress: Progress) -> None:
        """As the validator's."""
        self._once(lambda: self._validator.before_training(progress))

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """As the validator's."""
        if self._is_due(progress, epoch_ended=epoch_ended):
            self._once(lambda: self._validator.after_update(progress, epoch_ended=epoch_ended))

    def at_end(self, progress: Progress) -> None:
        """As the validator's."""
        self._once(lambda: self._validator.at_end(progress))

    def _once(self, draw: Callable[[], None]) -> None:
        with self._parallel.together():
            if self._parallel.is_first or self._parallel.is_sharded:
                with self._alone():
                    draw()
        self._parallel.settle()
