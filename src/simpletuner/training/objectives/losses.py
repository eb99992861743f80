"""How much an error of the velocity counts: its square, or less than that where it is large.

The pseudo-Huber losses and their schedules are those of Khrapov et al. 2024, "Improving Diffusion Models's
Data-Corruption Resistance using Scheduled Pseudo-Huber Loss" (arXiv 2403.16728).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from simpletuner.diffusion.flow import as_column


@dataclass(frozen=True)
class Loss:
    """``kind`` is ``l2``, ``huber`` or ``smooth_l1``; ``width`` and ``schedule`` (``constant``, ``exponential``,
    ``snr``) say where the latter two turn from a square into a straight line.
    """

    kind: str = "l2"
    width: float = 0.1
    schedule: str = "snr"


def cell_losses(loss: Loss, error: Tensor, sigma: Tensor) -> Tensor:
    """The loss of each cell, (B, C, H, W), of ``error`` = prediction - target at ``sigma`` (B,).

    ``l2`` is e^2. With c the width at sigma, ``huber`` is 2c (sqrt(e^2 + c^2) - c), which is e^2 where e is far below c
    and 2c|e| where it is far above, and ``smooth_l1`` is 2 (sqrt(e^2 + c^2) - c), which is e^2 / c and 2|e|.
    """
    if loss.kind == "l2":
        return error.square()
    width = as_column(width_at(loss, sigma), error)
    # sqrt(e^2 + c^2) - c, without the difference of two near numbers.
    bent = error.square() / ((error.square() + width.square()).sqrt() + width)
    return 2 * width * bent if loss.kind == "huber" else 2 * bent


def width_at(loss: Loss, sigma: Tensor) -> Tensor:
    """The width c at each ``sigma`` (B,): ``loss.width`` at pure noise, and 1 at the image unless it is constant.

    ``exponential`` is c^sigma. ``snr`` is c + (1 - c) / (1 + r)^2 with r the ratio of noise to signal, which for a
    straight line is sigma / (1 - sigma): c + (1 - c) (1 - sigma)^2.
    """
    if loss.schedule == "constant":
        return torch.full_like(sigma, loss.width)
    if loss.schedule == "exponential":
        return (sigma * math.log(loss.width)).exp()
    return loss.width + (1 - loss.width) * (1 - sigma).square()
