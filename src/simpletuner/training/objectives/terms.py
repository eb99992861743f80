"""What a step says of each row, and how an update tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TERMS = 4
"""How many sums :meth:`RowTerms.sums` holds."""


@dataclass(frozen=True)
class RowTerms:
    """Of each row, (B,) float32: its ``loss``; 1 where it was ``rolled`` out, else 0; its ``drift`` (ReflexFlow's)."""

    loss: Tensor
    rolled: Tensor
    drift: Tensor

    def detach(self) -> RowTerms:
        """The same without gradient."""
        return RowTerms(self.loss.detach(), self.rolled, self.drift.detach())

    def sums(self) -> Tensor:
        """What :func:`figures` needs of these rows, (TERMS,): it may be added up over micro-batches and processes."""
        return torch.stack([part.sum() for part in (self.loss, self.rolled, self.loss * self.rolled, self.drift)])


def figures(sums: Sequence[float], rows: int) -> dict[str, float]:
    """For trackers, of :meth:`RowTerms.sums` over ``rows`` rows: the share that was rolled out, and their means."""
    _, rolled, loss, drift = sums
    told = {"scheduled_sampling/share": rolled / rows}
    if rolled > 0:
        told |= {"scheduled_sampling/loss": loss / rolled, "scheduled_sampling/drift": drift / rolled}
    return told
