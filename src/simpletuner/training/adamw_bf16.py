"""AdamW for bf16 weights: the arithmetic in fp32, the result rounded at random so that small changes survive.

Decoupled weight decay: Loshchilov and Hutter 2019 (arXiv 1711.05101). Stochastic rounding: bf16 keeps 8 bits, and a
step of 1e-5 of a weight is lost when rounded to nearest; rounded up with the probability of the part cut off, it is
kept on average. The bits drawn depend on (seed, step, parameter) alone, so a resumed run draws the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.core.seeds import generator

_CUT_BITS = 16
"""float32 has 16 more mantissa bits than bfloat16; the two share sign and exponent."""


def round_stochastic(values: Tensor, draws: torch.Generator) -> Tensor:
    """``values`` float32 as bfloat16, up or down at random: the expectation is ``values``."""
    bits = values.view(torch.int32)
    noise = torch.randint(0, 1 << _CUT_BITS, values.shape, generator=draws, dtype=torch.int32, device=values.device)
    cut = (bits + noise) & -(1 << _CUT_BITS)
    return cut.view(torch.float32).to(torch.bfloat16)


@dataclass(frozen=True)
class AdamSettings:
    """``betas``, ``epsilon`` and decoupled ``weight_decay`` of AdamW."""

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-6
    weight_decay: float = 0.01


class AdamWBF16(torch.optim.Optimizer):
    """AdamW whose bf16 parameters and moments are rounded stochastically; fp32 parameters are updated exactly."""

    def __init__(self, parameters: Iterable[Parameter], lr: float, settings: AdamSettings, seed: int) -> None:
        """``seed`` keys the rounding."""
        super().__init__(parameters, {"lr": lr})
        self._settings = settings
        self._seed = seed

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        del closure
        for group in self.param_groups:
            for index, parameter in enumerate(group["params"]):
                if parameter.grad is not None:
                    self._update(parameter, index, float(group["lr"]))

    def _update(self, parameter: Parameter, index: int, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        count = int(state["step"])
        assert parameter.grad is not None
        wide, mean, square = self._moments(parameter, state, parameter.grad.float())
        beta1, beta2 = self._settings.betas
        denominator = (square.sqrt() / math.sqrt(1 - beta2**count)).add_(self._settings.epsilon)
        wide = wide * (1 - rate * self._settings.weight_decay)
        wide.addcdiv_(mean, denominator, value=-rate / (1 - beta1**count))
        draws = generator(self._seed, "adamw_bf16", count, index, device=parameter.device)
        _store(parameter, wide, draws)
        _store(state["exp_avg"], mean, draws)
        _store(state["exp_avg_sq"], square, draws)

    def _moments(self, parameter: Parameter, state: dict[str, Tensor], grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        beta1, beta2 = self._settings.betas
        mean = state["exp_avg"].float().lerp(grad, 1 - beta1)
        square = state["exp_avg_sq"].float().mul(beta2).addcmul(grad, grad, value=1 - beta2)
        return parameter.detach().float(), mean, square


def _store(target: Tensor, wide: Tensor, draws: torch.Generator) -> None:
    target.copy_(round_stochastic(wide, draws) if target.dtype == torch.bfloat16 else wide)
