"""An exponential moving average of the trained weights, kept in fp32 whatever they are trained in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.training.parallel.shards import copied, fill, own

# Values: what the copies of weights and average may take beside them, 64 MB each.
_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class EmaSettings:
    """``decay`` is the limit; updates happen every ``interval`` steps; plain copies until ``warmup`` steps.

    ``at`` is the device that computes them, None for the one on which the average lies; ``one_by_one`` takes tensors in
    turn, not many at once.
    """

    decay: float
    interval: int = 1
    warmup: int = 0
    at: torch.device | None = None
    one_by_one: bool = False


def decay_at(settings: EmaSettings, step: int) -> float:
    """The decay of update ``step`` (1-based).

    Without warm-up ``min(decay, (1 + s) / (10 + s))`` with s = step - 1, and the first update copies (diffusers'
    ``EMAModel``); with warm-up a plain copy up to that step, then ``decay`` itself.
    """
    if settings.warmup > 0:
        return 0.0 if step <= settings.warmup else settings.decay
    done = step - 1
    return 0.0 if done <= 0 else min(settings.decay, (1 + done) / (10 + done))


class Ema:
    """Shadow weights: ``shadow = decay * shadow + (1 - decay) * weights``."""

    def __init__(self, parameters: Mapping[str, Parameter], settings: EmaSettings, device: torch.device) -> None:
        """Start from the weights as they are; the average lies on ``device``."""
        self.settings = settings
        self._parameters = dict(parameters)
        self._device = device
        self.shadow = {name: copied(parameter, device, torch.float32) for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> float | None:
        """Take in the weights after update ``step`` (1-based); the decay used, or None off the interval."""
        if step % self.settings.interval:
            return None
        decay = decay_at(self.settings, step)
        for names in _groups(self.shadow, 1 if self.settings.one_by_one else _AT_ONCE):
            self._move(names, 1 - decay)
        return decay

    def _move(self, names: Sequence[str], share: float) -> None:
        """Move the average of some weights that share of the way to them."""
        at = self.settings.at or self._device
        kept = [own(self.shadow[name]) for name in names]
        moved = [shadow.to(at) for shadow in kept]
        weights = [own(self._parameters[name]).to(at, torch.float32) for name in names]
        if len(names) == 1:
            moved[0].lerp_(weights[0], share)
        else:
            torch._foreach_lerp_(moved, weights, share)
        for shadow, values in zip(kept, moved, strict=True):
            if values is not shadow:
                shadow.copy_(values)

    def load(self, shadow: Mapping[str, Tensor]) -> None:
        """Take the values of ``shadow``, by parameter name; they are whole where the average is sharded."""
        for name, values in shadow.items():
            fill(self.shadow[name], values)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Swap the averaged weights in; the live ones come back bit for bit."""
        live = {name: own(parameter).clone() for name, parameter in self._parameters.items()}
        try:
            self._write(self.shadow)
            yield
        finally:
            self._write(live)

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            own(parameter).copy_(own(values[name]))


def _groups(tensors: Mapping[str, Tensor], limit: int) -> Iterator[list[str]]:
    """The names in order, in groups of ``limit`` values at most; a larger tensor is a group of its own."""
    group: list[str] = []
    size = 0
    for name, tensor in tensors.items():
        if group and size + tensor.numel() > limit:
            yield group
            group, size = [], 0
        group.append(name)
        size += tensor.numel()
    if group:
        yield group
