"""The loop that the small networks beside the transformer are trained with: by the clock, averaged, resumable."""

from __future__ import annotations

import argparse
import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .fit_state import Network, Progress, Trainee, load_state, save_state

Loss = Callable[[Progress], Tensor]
"""Draws a batch from the trainee's generator and returns its loss, ()."""
Report = Callable[[Progress], str]
"""Measures the averaged weights and says it in words."""


@dataclass(frozen=True)
class Command:
    """What the command line of a maker says."""

    minutes: float
    bf16: bool
    device: torch.device


def read_command(description: str, minutes: float) -> Command:
    """Read the command line; ``minutes`` is the default length."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--minutes", type=float, default=minutes, help="wall-clock length, earlier parts included")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16 (for a CPU with AVX512-BF16)")
    parser.add_argument("--device", type=torch.device, default=best_device(), help="cpu or cuda")
    given = parser.parse_args()
    return Command(minutes=given.minutes, bf16=given.bf16, device=given.device)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast; the rate follows the share of ``minutes`` that has passed."""

    minutes: float
    learning_rate: float
    warmup_steps: int = 100
    average_decay: float = 0.998
    save_seconds: float = 120.0

    def rate(self, progress: Progress) -> float:
        """Warm up by steps, then follow a cosine of the time spent down to a hundredth."""
        spent = min(1.0, progress.seconds / (60.0 * self.minutes))
        warm = min(1.0, (progress.steps + 1) / self.warmup_steps)
        return self.learning_rate * warm * max(0.01, 0.5 * (1.0 + math.cos(math.pi * spent)))


def new_trainee(network: Network, seed: int, weight_decay: float = 1e-3) -> Trainee[Network]:
    """A network with its average (a frozen copy), its AdamW and its random generator."""
    average = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=weight_decay)
    return Trainee(network, average, optimizer, torch.Generator().manual_seed(seed))


def fit(schedule: Schedule, trainee: Trainee[Network], state: Path, loss_of: Loss, report: Report) -> Progress:
    """Train until the minutes are over, earlier parts included; save and report on the way."""
    progress = load_state(state, trainee) if state.is_file() else Progress()
    started = time.monotonic() - progress.seconds
    saved = progress.seconds
    while progress.seconds < 60.0 * schedule.minutes:
        loss = _step(trainee, loss_of(progress), schedule.rate(progress))
        _update_average(trainee, schedule.average_decay, progress.steps)
        progress = Progress(progress.steps + 1, time.monotonic() - started)
        if progress.seconds - saved >= schedule.save_seconds:
            saved = progress.seconds
            save_state(state, trainee, progress)
            shown = (progress.steps, progress.seconds / 60.0, loss, report(progress))
            logging.info("step %d, %.1f min, loss %.4f, %s", *shown)
    save_state(state, trainee, progress)
    return progress


def _step(trainee: Trainee[Network], loss: Tensor, rate: float) -> float:
    trainee.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainee.network.parameters(), 1.0)
    for group in trainee.optimizer.param_groups:
        group["lr"] = rate
    trainee.optimizer.step()
    return loss.item()


@torch.no_grad()
def _update_average(trainee: Trainee[Network], decay: float, steps: int) -> None:
    """Move the averaged weights towards the current ones, faster at the start."""
    weight = max(1.0 - decay, 1.0 / (steps + 1))
    torch._foreach_lerp_(list(trainee.average.parameters()), list(trainee.network.parameters()), weight)


def best_device() -> torch.device:
    """CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
