"""Small parameters that every optimizer of the project is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.config.sections.optimizer import OptimizerConfig
from simpletuner.training.optimizers import build_optimizer, evaluating, set_rate
from simpletuner.training.state import load_optimizer, save_optimizer

# The second is large enough (4096 values) that low-bit states are really kept in few bits.
SHAPES = {"small": (16, 16), "large": (192, 192), "vector": (64,), "scalar": ()}
RATES = {"prodigy": 1.0, "torch-adadelta": 1.0}


class Trained:
    """Parameters on their way to a fixed point, with one optimizer."""

    def __init__(self, name: str, dtype: torch.dtype = torch.float32, seed: int = 1, **options: Any) -> None:
        draws = torch.Generator().manual_seed(seed)
        self.parameters = {key: Parameter(_about(0, shape, draws).to(dtype)) for key, shape in SHAPES.items()}
        self.target = {key: _about(1, shape, draws) * _sign(shape, draws) for key, shape in SHAPES.items()}
        self.rate = RATES.get(name, 1e-2)
        self.config = OptimizerConfig(optimizer=name, learning_rate=self.rate, **options)  # type: ignore[arg-type]
        self.optimizer = build_optimizer(self.config, self.parameters.values(), seed=7)
        self.taken = 0

    def train(self, steps: int) -> None:
        """The rate and torch's own stream depend on the step alone, as in the loop."""
        for _ in range(steps):
            self.taken += 1
            torch.manual_seed(self.taken)
            for key, parameter in self.parameters.items():
                parameter.grad = (parameter.detach() - self.target[key]).to(parameter.dtype)
            set_rate(self.optimizer, self.rate * (1 - 0.05 * self.taken))
            self.optimizer.step()

    def loss(self) -> float:
        """Half the squared distance to the target, of the weights that the optimizer means."""
        with evaluating(self.optimizer):
            squares = [
                (parameter.detach() - self.target[key]).square().sum() for key, parameter in self.parameters.items()
            ]
        return float(sum(squares)) / 2

    def values(self) -> dict[str, Tensor]:
        """Copies of the parameters."""
        return {key: parameter.detach().clone() for key, parameter in self.parameters.items()}

    def save(self, folder: Path) -> None:
        """As a checkpoint does: what other programs read, and beside it the optimizer's state."""
        with evaluating(self.optimizer):
            self._public = self.values()
        save_optimizer(self.optimizer, self.parameters, folder / "optimizer.safetensors")

    def resumed(self, folder: Path, **options: Any) -> Trained:
        """A fresh one that goes on from what was saved."""
        dtype = self.parameters["small"].dtype
        fresh = Trained(self.config.optimizer, dtype, seed=2, **options)
        fresh.target, fresh.taken = self.target, self.taken
        with torch.no_grad():
            for key, parameter in fresh.parameters.items():
                parameter.copy_(self._public[key])
        load_optimizer(fresh.optimizer, fresh.parameters, folder / "optimizer.safetensors")
        return fresh


def _about(value: float, shape: tuple[int, ...], draws: torch.Generator) -> Tensor:
    return value + 0.3 * torch.rand(shape, generator=draws)


def _sign(shape: tuple[int, ...], draws: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=draws) * 2 - 1


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Equal to the bit."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
