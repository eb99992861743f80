"""The processes of a run: how they wait for each other, and hear what ended one of them.

Waiting and telling go through the store that they found each other with, not through collectives. So a process may
wait for hours while another one draws pictures, hears at once when one fails, and nothing has to fit in shape or order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import torch.distributed as dist
from torch._C._distributed_c10d import Store

from simpletuner.core.errors import SimpletunerError, ToldError, as_told
from simpletuner.core.memory import is_exhausted
from simpletuner.training.parallel.ear import Ear

_FAILED = "failed"
_FAILED_TOO = "failed too"
_TOLD = "told"
_LEFT = "left"
_GONE = "gone"
_SHORT, _LONG = 0.0005, 0.02
_FAREWELL_SECONDS = 3.0


class LostError(SimpletunerError):
    """Another process of the run is gone, and nobody can say why: it was killed, or its machine is away."""


class _Calls:
    """Counts what all processes do together, in the same order: ``begun`` is how far this one has come."""

    def __init__(self) -> None:
        self.begun = 0

    def next(self) -> int:
        """The number of the one that begins, from 0."""
        self.begun += 1
        return self.begun - 1


@dataclass(frozen=True)
class Processes:
    """This process is ``rank`` of ``count``; without a ``store`` it is alone, and has nobody to wait for or to tell."""

    rank: int = 0
    count: int = 1
    store: Store | None = None
    _calls: _Calls = field(default_factory=_Calls, compare=False)
    _ear: Ear = field(default_factory=lambda: Ear(_FAILED), compare=False)
    _torn: Event = field(default_factory=Event, compare=False)
    _has_heard: Event = field(default_factory=Event, compare=False)

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is there once."""
        return self.rank == 0

    @property
    def is_torn(self) -> bool:
        """Whether an exchange broke off half-way: nothing can be exchanged after it, and nothing saved together."""
        return self._torn.is_set()

    def wait(self) -> None:
        """Return when all processes have called it. Raises ToldError when one of them has failed."""
        with self.together():
            pass

    @contextmanager
    def together(self) -> Iterator[None]:
        """Around work of one process or of all: they leave it at the same time, and what fails in one fails in all.

        The process that failed raises its own error, the others ToldError.
        """
        number = self._calls.next()
        try:
            yield
        except SimpletunerError as error:
            self.tell(error)
            raise
        self._meet(number)

    def _meet(self, number: int) -> None:
        if self.store is None:
            return
        with self.losses_named():
            self.store.add(f"wait/{number}", 1)
            pause = _SHORT
            while self.store.add(f"wait/{number}", 0) < self.count:
                self.raise_told()
                time.sleep(pause)
                pause = min(2 * pause, _LONG)

    def of_first(self, make: Callable[[], str]) -> str:
        """What ``make`` gives in the first process, in all of them. Raises what it raises; ToldError in the others."""
        if self.store is None:
            return make()
        key = f"value/{self._calls.next()}"
        with self.together():
            if self.is_first:
                self.store.set(key, make())
        with self.losses_named():
            return str(self.store.get(key).decode())

    def of_each(self, words: str) -> list[str]:
        """The ``words`` of each process, by rank, in all of them."""
        if self.store is None:
            return [words]
        key = f"each/{self._calls.next()}"
        with self.together(), self.losses_named():
            self.store.set(f"{key}/{self.rank}", words)
        with self.losses_named():
            return [str(self.store.get(f"{key}/{rank}").decode()) for rank in range(self.count)]

    def tell(self, error: BaseException) -> None:
        """Let the others hear that this process ends with ``error``. Of several that do, the first is heard.

        Once that was heard, the second is: after an error they save together, and another one may end that. Those that
        fail side by side, as when memory ends in all of them, need not hear each other.
        """
        if self.store is None or isinstance(error, (ToldError, LostError)):
            return
        with suppress(RuntimeError):
            facts = {"rank": self.rank, "torn": self.is_torn, "begun": self._calls.begun}
            told = json.dumps(as_told(error) | facts)
            found = self.store.compare_set(_FAILED, "", told).decode()
            if found == told:
                return
            first = json.loads(found)
            if first["begun"] == self._calls.begun and not (first["torn"] or self.is_torn):
                self._has_heard.set()
            else:
                self.store.compare_set(_FAILED_TOO, "", told)

    def tear(self, error: BaseException) -> None:
        """The same where others wait inside of an exchange that this process will not come to."""
        self._torn.set()
        self.tell(error)

    def listen(self, groups: Collection[dist.ProcessGroup]) -> None:
        """Hear from now on, inside of exchanges of ``groups`` too, that another process has failed there."""

        def heard() -> None:
            told = self._ear.told
            if told is not None and told["torn"] and told["rank"] != self.rank:
                # NCCL's exchanges end by this; gloo's when the other process has ended.
                for group in groups:
                    group.abort()

        if self.store is not None:
            self._ear.listen(self.store, heard)

    def raise_told(self) -> None:
        """Raise ToldError when another process has told that it ends; of the same end once."""
        told = self._told()
        if told is not None and (told["rank"] == self.rank or self._has_heard.is_set()):
            told = self._found(_FAILED_TOO)
        if told is not None and told["rank"] != self.rank:
            self._has_heard.set()
            if told["torn"]:
                self._torn.set()
            raise ToldError(told)

    def raise_torn(self) -> None:
        """The same, where nothing can be exchanged or saved together after it."""
        told = self._told()
        if told is not None and told["torn"]:
            self.raise_told()

    def _told(self) -> Mapping[str, Any] | None:
        return self._ear.told or self._found(_FAILED)

    def _found(self, key: str) -> Mapping[str, Any] | None:
        if self.store is None or not self.store.check([key]):
            return None
        found: dict[str, Any] = json.loads(self.store.get(key))
        return found

    @contextmanager
    def losses_named(self, *, in_work: bool = False) -> Iterator[None]:
        """Around an exchange: a connection that broke is what ended another process, or LostError.

        ``in_work`` says that exchanges are only a part of what happens inside: other errors of it pass.
        """
        try:
            yield
        except RuntimeError as error:
            if in_work and self._ear.told is None and not _is_broken(error):
                raise
            self._torn.set()
            with suppress(RuntimeError):
                self.raise_told()
            cure = "see what its own output says; memory that ran out ends a process so, too. The same command goes on"
            raise LostError(f"another process of this run is gone ({_first_line(error)})", cure=cure) from error

    def may_speak(self, error: SimpletunerError) -> bool:
        """Whether this process is the one that says to the user what ended the run: one alone does.

        It ends now, so that others wait in vain for an exchange with it.
        """
        self.tear(error)
        if self.store is None:
            return True
        if isinstance(error, ToldError):
            return False
        try:
            return bool(self.store.add(_TOLD, 1) == 1)
        except RuntimeError:
            # The first process is gone, and the store with it.
            return self.rank == 1

    def leave(self) -> None:
        """Be done. Each waits a moment for the others, who may still have to hear, and the first, who may hold the
        store, until they need it no more.
        """
        self._ear.close()
        if self.store is None:
            return
        end = time.monotonic() + _FAREWELL_SECONDS
        with suppress(RuntimeError):
            self.store.add(_LEFT, 1)
            self._until(_LEFT, self.count, end)
            if self.is_first:
                self._until(_GONE, self.count - 1, end)
            else:
                self.store.add(_GONE, 1)

    def _until(self, key: str, number: int, end: float) -> None:
        assert self.store is not None
        while self.store.add(key, 0) < number and time.monotonic() < end:
            time.sleep(_LONG)


def _is_broken(error: RuntimeError) -> bool:
    """Whether an exchange says ``error``. gloo, which has no type of its own for it, names its source file."""
    return not is_exhausted(error) and (isinstance(error, dist.DistError) or "gloo/" in str(error))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
