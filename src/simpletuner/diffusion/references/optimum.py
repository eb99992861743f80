r"""The lowest loss that any model can have on a finite training set, and so the place below which lies memorising.

Training shows points ``y = (1 - s) x + s e`` of latents x that belong to one of N pictures, each drawn from its
posterior N(m_i, d_i) with a variance for every value. The best prediction of ``v = e - x`` is its mean given y, which
has a closed form, because everything is Gaussian once the picture i is given:

    v_i(y) = -m_i + (s - (1 - s) d_i) / D_i * (y - (1 - s) m_i),    D_i = (1 - s)^2 d_i + s^2
    v*(y)  = sum_i w_i(y) v_i(y),    w_i(y) = softmax_i of  -1/2 sum (y - (1 - s) m_i)^2 / D_i + log D_i

With d = 0 the weights are a softmax over distances to the training pictures and v* is (y - sum_i w_i m_i) / s: the
optimal denoiser of Karras et al. 2022 (arXiv 2206.00364, eq. 57) on the straight line; Biroli et al. 2024 (arXiv
2402.18491) on where it collapses onto one picture. It looks at no caption: where captions tell pictures apart, the true
optimum is lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.seeds import generator
from simpletuner.diffusion.flow import mix, velocity

_MOST_VALUES = 1 << 21


@dataclass(frozen=True, eq=False)
class Estimate:
    """A mean loss and its standard error at each sigma, (T,) float64, found on so many ``pictures``."""

    loss: Tensor
    error: Tensor
    pictures: int

    def mean(self) -> tuple[float, float]:
        """Loss and standard error over all sigmas alike, whose draws are independent."""
        return float(self.loss.mean()), float(self.error.square().sum().sqrt() / len(self.error))


def affordable(count: int, values: int) -> int:
    """How many of ``count`` pictures of so many ``values`` each to keep: what fits into 2^21 values, at least 2.

    Fewer pictures are easier to tell apart, so the optimum on a part of a set lies at or below that on all of it.
    """
    return min(count, max(2, _MOST_VALUES // values))


def optimum(latents: Latents, sigmas: Sequence[float], draws: int, *key: object) -> Estimate:
    """The least mean squared error on pictures with posteriors ``latents`` (N, C, h, w) at each of ``sigmas`` above 0.

    A Monte Carlo mean over ``draws`` points at each sigma (at least 2), with noise keyed by ``key``.
    """
    means, variances = latents.mean.double().flatten(1), latents.logvar.double().exp().flatten(1)
    found = [_errors(means, variances, sigma, draws, generator(*key, place)) for place, sigma in enumerate(sigmas)]
    errors = torch.stack(found)
    return Estimate(errors.mean(dim=1), errors.std(dim=1) / draws**0.5, len(means))


def _errors(means: Tensor, variances: Tensor, sigma: float, draws: int, stream: torch.Generator) -> Tensor:
    """The squared error of the best prediction at ``draws`` points, each averaged over its values: (M,)."""
    drawn = torch.randint(len(means), (draws,), generator=stream)
    shape = (draws, means.shape[1])
    spread = torch.randn(shape, generator=stream, dtype=torch.float64)
    latents = means[drawn] + variances[drawn].sqrt() * spread
    noise = torch.randn(shape, generator=stream, dtype=torch.float64)
    noisy = mix(latents, noise, torch.full((draws,), sigma, dtype=torch.float64))
    best = best_velocity(means, variances, noisy, sigma)
    return (best - velocity(latents, noise)).square().mean(dim=1)


def best_velocity(means: Tensor, variances: Tensor, noisy: Tensor, sigma: float) -> Tensor:
    """The mean velocity given each of ``noisy`` (M, K), of pictures with ``means`` and ``variances`` (N, K): (M, K)."""
    seen = (1 - sigma) ** 2 * variances + sigma**2
    precision = 1 / seen
    centre = (1 - sigma) * means
    # The square of y - centre in three products: (M, N, K) differences would not fit.
    distance = (
        noisy.square() @ precision.T - 2 * noisy @ (precision * centre).T + (precision * centre.square()).sum(dim=1)
    )
    weights = (-(distance + seen.log().sum(dim=1)) / 2).softmax(dim=1)
    slope = (sigma - (1 - sigma) * variances) * precision
    return weights @ (-means - slope * centre) + (weights @ slope) * noisy
