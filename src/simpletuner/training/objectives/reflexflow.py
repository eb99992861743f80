"""ReflexFlow: what a model is told about its own drift when it is shown what it drew itself.

Huang et al. 2025, "ReflexFlow: Rethinking Learning Objective for Exposure Bias Alleviation in Flow Matching" (arXiv
2512.04904). Velocities point from image to noise here. The paper's clock runs the other way; both terms compare two
directions of one kind, so that they keep their form when both are turned.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from simpletuner.diffusion.flow import as_column

_LEAST = 1e-6


@dataclass(frozen=True)
class ReflexFlow:
    """``alpha`` weighs the frequency compensation, ``beta1`` the anti-drift term, ``beta2`` the compensated loss."""

    alpha: float = 1.0
    beta1: float = 10.0
    beta2: float = 1.0


def frequency_compensation(straight: Tensor, drawn: Tensor, alpha: float) -> Tensor:
    """How much each cell's loss counts, (R, C, H, W), mean about 1.

    ``straight`` and ``drawn`` are the velocities that the model predicts where noise was mixed in, and where it came by
    itself. Their difference is the exposure bias e; the weight is 1 + alpha e / sum |e|, more where the roll-out lost
    something and less elsewhere.
    """
    bias = straight - drawn
    return 1 + alpha * bias / as_column(bias.abs().flatten(1).sum(1).clamp_min(_LEAST), bias)


def anti_drift(predicted: Tensor, away: Tensor) -> Tensor:
    """How far ``predicted`` (R, C, H, W) points past the image, (R,): the squared distance of two unit vectors, 0 to 4.

    ``away`` leads from the image to where the model stands: back along it, the image is reached from there, whatever
    went wrong on the way.
    """
    return (_unit(predicted) - _unit(away)).square().flatten(1).sum(1)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / as_column(vectors.flatten(1).norm(dim=1).clamp_min(_LEAST), vectors)
