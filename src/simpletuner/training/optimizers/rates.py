"""The learning rate: given to an optimizer, and as it acts there."""

from __future__ import annotations

import torch
from torch import Tensor


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group the learning rate ``rate``."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            # torchao compiles its step, and a number would be compiled in.
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def rate_in_force(optimizer: torch.optim.Optimizer) -> float:
    """The rate of the update just made: Prodigy's times its distance, a schedule-free one with its own warm-up."""
    group = optimizer.param_groups[0]
    # A tensor's is fp32: 1e-4 is told as 1e-4.
    rate = float(f"{float(group['lr']):.7g}")
    if "d_coef" in group:
        return rate * float(group["d"])
    if "warmup_steps" in group and "train_mode" in group:
        warmup = max(int(group["warmup_steps"]), 1)
        return rate * min(1.0, int(group.get("step", 0)) / warmup)
    return rate
