"""How many ranks of a T-LoRA are active: few on noise, where a picture's outline is decided, all on a clean picture.

Soboleva and others 2025, T-LoRA (arXiv 2507.05964), with the share of noise in place of a timestep.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# float32 puts 0.9 * 10 a hair below 9.
_NUDGE = 1e-4


@dataclass(frozen=True)
class RankSchedule:
    """``minimum`` ranks are active on pure noise; ``exponent`` 1 lets them join evenly, above 1 later."""

    minimum: int = 1
    exponent: float = 1.0


def active_ranks(sigma: Tensor, rank: int, schedule: RankSchedule) -> Tensor:
    """How many of ``rank`` ranks are active at the shares of noise ``sigma`` (B,): (B,) whole numbers in float."""
    least = min(schedule.minimum, rank)
    more = (1 - sigma.float()).clamp(0, 1) ** schedule.exponent * (rank - least)
    return least + (more + _NUDGE).floor().clamp(max=rank - least)


def rank_mask(sigma: Tensor, rank: int, schedule: RankSchedule) -> Tensor:
    """1 for each active rank and 0 for the others, (B, rank) float32."""
    numbers = torch.arange(rank, device=sigma.device)
    return (numbers < active_ranks(sigma, rank, schedule)[:, None]).float()
