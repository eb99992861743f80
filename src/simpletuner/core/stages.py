"""Stages that cannot be counted, told when they begin and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from simpletuner.core.endings import OnError
from simpletuner.core.errors import Interrupted, Terminated
from simpletuner.core.events import Emit, StageChanged


def _never(_error: BaseException) -> bool:
    return False


@contextmanager
def told_stage(emit: Emit, key: str, is_skipped: Callable[[BaseException], bool] = _never) -> Iterator[None]:
    """Tell that the stage ``key`` of SPEC 7.5 runs inside the block, and that it is completed after it.

    What leaves the block otherwise is passed on, and told: ``cancelled`` by a signal, ``skipped`` where ``is_skipped``
    says so of the error, else ``failed``.
    """
    emit(StageChanged(key, "", "running"))
    with OnError(lambda error: emit(StageChanged(key, "", _ending(error, is_skipped)))):
        yield
    emit(StageChanged(key, "", "completed"))


def _ending(error: BaseException, is_skipped: Callable[[BaseException], bool]) -> str:
    # A signal that is obeyed at once leaves as something that is no Exception.
    if isinstance(error, (Interrupted, Terminated)) or not isinstance(error, Exception):
        return "cancelled"
    return "skipped" if is_skipped(error) else "failed"
