"""The training step: what is trained, in one page. Everything else in the project serves these lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from simpletuner.core.batch import Batch
from simpletuner.diffusion import flow

Predict = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]
"""``(noisy (B, C, h, w), sigma (B,), prompts) -> velocity (B, C, h, w)``."""


def row_losses(predict: Predict, batch: Batch, device: torch.device, prior: Predict | None = None) -> Tensor:
    """The velocity error of each row, (B,) float32: the mean square over channels and cells.

    The target is the line from image to noise; with ``prior`` it is what the untouched base model says there, so
    that an adapter learns to leave those pictures alone (prior preservation, Ruiz et al. 2022, arXiv 2208.12242).
    """
    latents, noise, sigma = batch.latents.to(device), batch.noise.to(device), batch.sigma.to(device)
    noisy = flow.mix(latents, noise, sigma)
    if prior is None:
        target = flow.velocity(latents, noise)
    else:
        with torch.no_grad():
            target = prior(noisy, sigma, batch.prompts)
    predicted = predict(noisy, sigma, batch.prompts)
    return (predicted.float() - target.float()).square().flatten(1).mean(dim=1)
