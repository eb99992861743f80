from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from simpletuner.assemble.rank_zero import Drawing, checkpoint_of_first, one_voice
from simpletuner.core.checkpoints import Checkpoint, written_checkpoint
from simpletuner.core.errors import DataError, SimpletunerError, Terminated, ToldError
from simpletuner.core.progress import Progress
from simpletuner.training.parallel.processes import Processes
from simpletuner.training.parallel.replicas import Replicas


def test_alone_an_error_is_raised_as_it_is() -> None:
    with pytest.raises(DataError, match="went bad"), one_voice(Processes()):
        raise DataError("went bad")


def test_what_another_says_is_only_an_exit_code() -> None:
    told = {"reason": "went bad", "file": None, "key": None, "cure": None, "code": 3}
    with pytest.raises(SystemExit) as caught, one_voice(Processes(1, 2, dist.HashStore())):
        raise ToldError(told)
    assert caught.value.code == 3


def test_all_go_on_from_what_the_first_has_chosen(tmp_path: Path) -> None:
    with written_checkpoint(tmp_path, 4) as folder:
        (folder / "weights").touch()
    store = dist.HashStore()

    def choose(rank: int) -> Checkpoint | None:
        own = Checkpoint(4, tmp_path / "checkpoint-4") if rank == 0 else None
        return checkpoint_of_first(Processes(rank, 2, store), lambda: own)

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(choose, range(2))
    assert first == second == Checkpoint(4, tmp_path / "checkpoint-4")
    assert checkpoint_of_first(Processes(), lambda: None) is None


class Easel:
    """Counts what is drawn."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def before_training(self, progress: Progress) -> None:
        self.drawn.append(f"before {progress.step}")

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        self.drawn.append(f"after {progress.step} {epoch_ended}")

    def at_end(self, progress: Progress) -> None:
        self.drawn.append(f"end {progress.step}")


@pytest.mark.parametrize(("rank", "drawn"), [(0, ["before 0", "after 2 True", "end 3"]), (1, [])])
def test_the_first_draws_and_the_others_wait(rank: int, drawn: list[str]) -> None:
    easels, store = [Easel(), Easel()], dist.HashStore()

    def follow(which: int) -> None:
        parallel = Replicas(torch.device("cpu"), Processes(which, 2, store))
        drawing = Drawing(easels[which], lambda progress, *, epoch_ended: progress.step == 2, parallel)  # type: ignore[arg-type]
        drawing.before_training(Progress())
        for step in (1, 2):
            drawing.after_update(Progress(step), epoch_ended=step == 2)
        drawing.at_end(Progress(3))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(follow, range(2)))
    assert easels[rank].drawn == drawn


def test_what_ends_the_one_that_draws_alone_ends_the_others() -> None:
    """A signal, say: they hear of it while they wait."""
    entered: list[int] = []

    class Stopped(Easel):
        def before_training(self, progress: Progress) -> None:
            raise Terminated("stopped")

    store = dist.HashStore()

    def follow(rank: int) -> type[Exception]:
        @contextmanager
        def alone() -> Iterator[None]:
            entered.append(rank)
            yield

        parallel = Replicas(torch.device("cpu"), Processes(rank, 2, store))
        drawing = Drawing(Stopped(), lambda _progress, *, epoch_ended: epoch_ended, parallel, alone)  # type: ignore[arg-type]
        with pytest.raises(SimpletunerError) as caught:
            drawing.before_training(Progress())
        assert caught.value.exit_code == 143
        return caught.type

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(follow, range(2))) == [Terminated, ToldError]
    assert entered == [0]
