"""ReflexFlow's two terms laid over the rows of a micro-batch; a row that was not rolled out is trained as ever."""

from __future__ import annotations

import torch
from torch import Tensor

from simpletuner.core.batch import Batch
from simpletuner.training.objectives.reflexflow import ReflexFlow, anti_drift, frequency_compensation
from simpletuner.training.objectives.rollout import RolledOut


def cell_weights(reflex: ReflexFlow, rolled: RolledOut, predicted: Tensor) -> Tensor:
    """How much each cell's loss counts, (B, C, H, W); 1 in rows that were not rolled out.

    ``predicted`` (B, C, H, W) is what is being trained; no gradient flows through the weight, or it would be a target.
    """
    drawn = predicted.detach()[rolled.rows]
    weights = torch.full_like(drawn, reflex.beta2)
    if rolled.straight is not None:
        weights = reflex.beta2 * frequency_compensation(rolled.straight.float(), drawn, reflex.alpha)
    return torch.ones_like(predicted).index_copy(0, rolled.rows, weights)


def row_drift(rolled: RolledOut, predicted: Tensor, batch: Batch) -> Tensor:
    """The anti-drift term of each row, (B,); 0 in rows that were not rolled out. Cells that a mask leaves out have no
    part in it.
    """
    away = rolled.noisy - batch.latents
    if batch.mask is not None:
        predicted, away = predicted * batch.mask, away * batch.mask
    drift = anti_drift(predicted[rolled.rows], away[rolled.rows])
    return drift.new_zeros(len(predicted)).index_copy(0, rolled.rows, drift)
