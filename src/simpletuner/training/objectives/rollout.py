"""Scheduled sampling: some rows start noisier and are denoised by the model itself, as when it draws a picture.

Bengio et al. 2015, "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks" (arXiv 1506.03099), for
a flow: the clock from 0 to 1 is divided into ``timesteps``, and a roll-out of length n goes from n of them above sigma
down to sigma in Euler steps of one each. The target stays that of the clean picture at sigma.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from simpletuner.core.batch import Batch
from simpletuner.diffusion import flow
from simpletuner.diffusion.sampler import euler_step
from simpletuner.training.objectives.predict import Predict
from simpletuner.training.objectives.reflexflow import ReflexFlow

# A whole number of timesteps that float32 puts a hair above itself is not one more.
_NUDGE = 1e-3


@dataclass(frozen=True)
class Ramp:
    """A probability: ``start`` up to update ``first``, then to ``end`` over ``steps`` updates, ``linear`` or
    ``cosine``.
    """

    start: float
    end: float
    first: int = 0
    steps: int = 0
    shape: str = "linear"

    def at(self, step: int) -> float:
        """The probability in update ``step`` (1-based), ``step - 1`` updates being done."""
        done = step - 1 - self.first
        if done <= 0:
            return self.start if self.steps else self.end
        progress = min(done / self.steps, 1.0) if self.steps else 1.0
        share = (1 - math.cos(math.pi * progress)) / 2 if self.shape == "cosine" else progress
        return self.start + (self.end - self.start) * share


@dataclass(frozen=True)
class Rollout:
    """``longest`` roll-outs have so many steps; ``strategy`` is ``uniform``, ``biased_early`` or ``biased_late``.

    ``lockstep`` makes the same number of forward passes for every micro-batch, which is needed where a pass is
    a collective call of all processes.
    """

    longest: int
    probability: Ramp
    strategy: str = "uniform"
    timesteps: int = 1000
    reflex: ReflexFlow | None = None
    lockstep: bool = False

    def length(self, chance: float, share: float, step: int, sigma: float) -> int:
        """The steps of a use in update ``step`` that drew ``chance`` and ``share``, both in [0, 1), and ``sigma``.

        0 when ``chance`` is not below the probability of the update; never more than what leads to pure noise.
        """
        if chance >= self.probability.at(step):
            return 0
        return min(_LENGTHS[self.strategy](share, self.longest), math.ceil((1 - sigma) * self.timesteps - _NUDGE))


def _nearest(value: float) -> int:
    return math.floor(value + 0.5)


_LENGTHS: dict[str, Callable[[float, int], int]] = {
    "uniform": lambda share, longest: int(share * (longest + 1)),
    "biased_early": lambda share, longest: _nearest(share**2 * longest),
    "biased_late": lambda share, longest: _nearest((1 - share**2) * longest),
}


@dataclass(frozen=True)
class RolledOut:
    """``noisy`` (B, C, H, W) is what the model is shown, ``rows`` (R,) those that it made itself.

    ``straight`` (R, C, H, W), for ReflexFlow, is what it says of the same rows where noise was mixed in.
    """

    noisy: Tensor
    rows: Tensor
    straight: Tensor | None

    @property
    def flags(self) -> Tensor:
        """1 for each row that was rolled out and 0 for the others, (B,) float32."""
        return torch.zeros(len(self.noisy), device=self.noisy.device).index_fill(0, self.rows, 1.0)


@torch.no_grad()
def roll_out(current: Predict, batch: Batch, rollout: Rollout) -> RolledOut:
    """Show ``batch`` (on its device) as the model itself would have drawn it, where ``batch.lengths`` says so.

    ``current`` is the model as it would draw a picture now. Roll-outs end together, so that rows of all lengths share
    their passes: there are as many as the longest has steps, and ReflexFlow's question rides with the last of them.
    """
    lengths = batch.lengths
    steps = torch.tensor(lengths, device=batch.sigma.device)
    straight = flow.mix(batch.latents, batch.noise, batch.sigma)
    noisy = flow.mix(batch.latents, batch.noise, shares(batch.sigma, steps, rollout.timesteps))
    asks_straight = rollout.reflex is not None and rollout.reflex.alpha != 0
    answer = None
    for left in range(rollout.longest if rollout.lockstep else max(lengths, default=0), 0, -1):
        rows = [row for row, length in enumerate(lengths) if length >= left]
        points = [(noisy, shares(batch.sigma, left, rollout.timesteps))]
        if left == 1 and asks_straight:
            points.append((straight, batch.sigma))
        velocities = _ask(current, batch, points, rows or [0])
        if rows:
            noisy = _stepped(noisy, velocities[0], points[0][1], shares(batch.sigma, left - 1, rollout.timesteps), rows)
            answer = velocities[1] if len(velocities) > 1 else None
    rolled = [row for row, length in enumerate(lengths) if length]
    return RolledOut(noisy, torch.tensor(rolled, device=noisy.device, dtype=torch.int64), answer)


def shares(sigma: Tensor, steps: Tensor | int, timesteps: int) -> Tensor:
    """The share of noise ``steps`` timesteps above ``sigma``, never above 1."""
    return (sigma + steps / timesteps).clamp(max=1)


def _ask(
    current: Predict, batch: Batch, points: Sequence[tuple[Tensor, Tensor]], rows: Sequence[int]
) -> tuple[Tensor, ...]:
    """The velocity of some rows at each of ``points``, in one pass."""
    noisy, sigma = (torch.cat([point[part][rows] for point in points]) for part in (0, 1))
    prompts = tuple(batch.prompts[row] for row in rows) * len(points)
    sizes = None if batch.sizes is None else tuple(batch.sizes[row] for row in rows) * len(points)
    return current(noisy, sigma, prompts, sizes).chunk(len(points))


def _stepped(noisy: Tensor, velocity: Tensor, sigma: Tensor, next_sigma: Tensor, rows: Sequence[int]) -> Tensor:
    index = torch.tensor(rows, device=noisy.device)
    stepped = euler_step(noisy[index], velocity.to(noisy), sigma[index], next_sigma[index])
    return noisy.index_copy(0, index, stepped)
