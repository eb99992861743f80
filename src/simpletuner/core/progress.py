"""Where a run stands, and what may act between its updates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True)
class Progress:
    """Finished updates in all, the current epoch (0-based) and the updates finished in it."""

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0

    def advanced(self, *, epoch_ended: bool) -> Progress:
        """One update later."""
        if epoch_ended:
            return Progress(step=self.step + 1, epoch=self.epoch + 1, epoch_step=0)
        return replace(self, step=self.step + 1, epoch_step=self.epoch_step + 1)


class Action(Protocol):
    """Something done on all ranks between updates: save, render, evaluate, stop."""

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """Act when due."""
        ...
