"""Optimizers that train one set of weights and mean another.

A schedule-free optimizer (Defazio et al. 2024, arXiv 2405.15682) takes gradients at a point between its iterate and
the iterates' average; the average is what it learned. The parameters hold the first while training; pictures,
evaluations and files for other programs want the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_MODE = "train_mode"


def keeps_average(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the weights to validate and to save are others than those in training."""
    return any(_MODE in group for group in optimizer.param_groups)


@contextmanager
def evaluating(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Hold the learned weights inside the block; those in training come back bit for bit.

    For other optimizers, and inside another such block, nothing happens. The copy takes the trained weights' memory.
    """
    switching: Any = optimizer
    if not any(group.get(_MODE, False) for group in optimizer.param_groups):
        yield
        return
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    live = [parameter.detach().clone() for parameter in held]
    switching.eval()
    try:
        yield
    finally:
        # Its own way back is an interpolation, which rounds.
        with torch.no_grad():
            for parameter, values in zip(held, live, strict=True):
                parameter.copy_(values)
        for group in optimizer.param_groups:
            group[_MODE] = True
