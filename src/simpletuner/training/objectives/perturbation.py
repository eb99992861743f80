"""Input perturbation: the model is shown a little more noise than its target knows of."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from simpletuner.diffusion.flow import as_column


@dataclass(frozen=True)
class InputPerturbation:
    """``strength`` is the paper's gamma; it falls in a straight line to 0 over ``steps`` updates, never with 0."""

    strength: float
    steps: int = 0

    def at(self, step: int) -> float:
        """The strength of update ``step`` (1-based)."""
        return self.strength * max(0.0, 1 - (step - 1) / self.steps) if self.steps else self.strength


def perturbed(noisy: Tensor, sigma: Tensor, extra: Tensor | None) -> Tensor:
    """``noisy`` (B, C, H, W) as if it were mixed with ``noise + extra``, where ``extra`` is gamma times fresh noise.

    Ning et al. 2023, "Input Perturbation Reduces Exposure Bias in Diffusion Models" (arXiv 2301.11706), equation 10, on
    the straight line: ``(1 - sigma) latents + sigma (noise + gamma xi)``. The target stays ``noise - latents``.
    """
    return noisy if extra is None else noisy + as_column(sigma, noisy) * extra
