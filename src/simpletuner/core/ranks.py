"""The processes of a run, as far as anyone without torch needs to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _alone() -> None:
    """One process waits for nobody."""


@dataclass(frozen=True)
class Ranks:
    """This process is ``rank`` of ``count``; ``wait`` returns when all of them have called it.

    ``job`` is the same in all of them and different in every other job, so that two may share a cache folder.
    """

    rank: int = 0
    count: int = 1
    wait: Callable[[], None] = _alone
    job: str = ""

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes what is there once."""
        return self.rank == 0


ALONE = Ranks()
"""One process, as on most machines."""
