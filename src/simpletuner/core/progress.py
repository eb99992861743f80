"""Where a run stands, and what may act between its updates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol


@dataclass(frozen=True)
class Progress:
    """Finished updates in all, the current epoch (0-based) and the updates finished in it.

    ``skipped`` are the updates (1-based) that are left out because their numbers are not finite, in ascending order.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    skipped: tuple[int, ...] = ()

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> Progress:
        """From the JSON values of ``dataclasses.asdict``."""
        return cls(**{**saved, "skipped": tuple(saved.get("skipped", ()))})

    def advanced(self, *, epoch_ended: bool) -> Progress:
        """One update later."""
        if epoch_ended:
            return replace(self, step=self.step + 1, epoch=self.epoch + 1, epoch_step=0)
        return replace(self, step=self.step + 1, epoch_step=self.epoch_step + 1)

    def leaving_out(self, *steps: int) -> Progress:
        """The same place, with more updates left out."""
        return replace(self, skipped=tuple(sorted({*self.skipped, *steps})))


class Action(Protocol):
    """Something done on all ranks between updates: save, render, evaluate, stop."""

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """Act when due."""
        ...
