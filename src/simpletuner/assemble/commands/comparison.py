"""Whether a converted adapter is the adapter: one forward pass of each, compared."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from simpletuner.adapters.base import Adapter
from simpletuner.core.batch import Prompt
from simpletuner.core.errors import DataError
from simpletuner.models.family import ModelFamily

CLOSE = 1e-5
"""Of the largest value: what fp32 sums differ by in another order."""
_EFFECT = 0.05
_EDGE = 16
_SIGMA = 0.5
_WORDS = range(3, 19)


@dataclass(frozen=True)
class Answers:
    """What the base model and the model with its adapter answer to one question, (1, C, 16, 16) each."""

    base: Tensor
    adapted: Tensor

    @property
    def effect(self) -> float:
        """How far the adapter moves the answer, as a share of its largest value."""
        return distance(self.adapted, self.base)

    def require(self, found: Tensor, what: str) -> float:
        """How far ``found`` is from the adapted model's answer. Raises DataError when that is more than rounding.

        An adapter that does little is compared by what it does, too: a wrong one would pass otherwise.
        """
        error = distance(self.adapted, found)
        if not error <= CLOSE or (self.effect > CLOSE / _EFFECT and error > _EFFECT * self.effect):
            raise DataError(
                f"{what} is not the adapter: its forward pass differs by {error:.1e} of the largest value, and "
                f"{CLOSE:.0e} is rounding; nothing was written",
                cure="please report this with the file's metadata; --format merged may do",
            )
        return error


def distance(wanted: Tensor, found: Tensor) -> float:
    """The largest difference as a share of the largest wanted value."""
    return float((wanted - found).abs().max() / wanted.abs().max())


@torch.no_grad()
def answer(family: ModelFamily, denoiser: nn.Module, adapter: Adapter | None = None) -> Tensor:
    """The velocity (1, C, 16, 16) of ``denoiser`` at fixed noise and a fixed prompt."""
    draws = torch.Generator().manual_seed(0)
    noisy = torch.randn(1, family.latents.channels, _EDGE, _EDGE, generator=draws)
    sigma = torch.tensor([_SIGMA])
    denoiser.eval()
    if adapter is not None:
        adapter.eval()
        adapter.before_pass(sigma)
    return family.predict_velocity(denoiser, noisy, sigma, [Prompt(torch.tensor(_WORDS))])


def answers(family: ModelFamily, denoiser: nn.Module, adapter: Adapter, strength: float) -> Answers:
    """Ask with the adapter off and at ``strength``."""
    with adapter.strength(0.0):
        base = answer(family, denoiser)
    with adapter.strength(strength):
        return Answers(base, answer(family, denoiser, adapter))
