"""An exponential moving average of the trained weights, kept in fp32 whatever they are trained in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter


@dataclass(frozen=True)
class EmaSettings:
    """``decay`` is the limit; updates happen every ``interval`` steps; plain copies until ``warmup`` steps."""

    decay: float
    interval: int = 1
    warmup: int = 0


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
        """Start from the weights as they are; the average lies and is computed on ``device``."""
        self.settings = settings
        self._parameters = dict(parameters)
        self._device = device
        self.shadow = {name: self._wide(parameter).clone() for name, parameter in parameters.items()}

    def _wide(self, parameter: Parameter) -> Tensor:
        return parameter.detach().to(self._device, torch.float32)

    @torch.no_grad()
    def update(self, step: int) -> float | None:
        """Take in the weights after update ``step`` (1-based); the decay used, or None off the interval."""
        if step % self.settings.interval:
            return None
        decay = decay_at(self.settings, step)
        for name, parameter in self._parameters.items():
            self.shadow[name].lerp_(self._wide(parameter), 1 - decay)
        return decay

    @torch.no_grad()
    def load(self, shadow: Mapping[str, Tensor]) -> None:
        """Take the values of ``shadow``, by parameter name."""
        for name, values in shadow.items():
            self.shadow[name].copy_(values)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Swap the averaged weights in; the live ones come back bit for bit."""
        live = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._write(self.shadow)
        try:
            yield
        finally:
            self._write(live)

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(values[name])
