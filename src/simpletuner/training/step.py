"""The training step: what is trained, in one page. Everything else in the project serves these lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from simpletuner.core.batch import Batch, Sizes
from simpletuner.diffusion import flow

Predict = Callable[[Tensor, Tensor, Sequence[Tensor], Sizes | None], Tensor]
"""``(noisy (B, C, H, W), sigma (B,), prompts, sizes) -> velocity (B, C, H, W)``."""


def row_losses(predict: Predict, batch: Batch, device: torch.device, prior: Predict | None = None) -> Tensor:
    """The velocity error of each row, (B,) float32: the mean square over the row's own channels and cells.

    A mask weighs the squares before the mean, and the mean still counts every cell, so a picture that is masked by
    half weighs about half as much.

    The target is the line from image to noise; with ``prior`` it is what the untouched base model says there, so
    that an adapter learns to leave those pictures alone (prior preservation, Ruiz et al. 2022, arXiv 2208.12242).
    """
    latents, noise, sigma = batch.latents.to(device), batch.noise.to(device), batch.sigma.to(device)
    noisy = flow.mix(latents, noise, sigma)
    if prior is None:
        target = flow.velocity(latents, noise)
    else:
        with torch.no_grad():
            target = prior(noisy, sigma, batch.prompts, batch.sizes)
    predicted = predict(noisy, sigma, batch.prompts, batch.sizes)
    squares = (predicted.float() - target.float()).square()
    if batch.mask is not None:
        squares = squares * batch.mask.to(device)
    return _row_means(squares, batch.sizes)


def _row_means(values: Tensor, sizes: Sizes | None) -> Tensor:
    if sizes is None:
        return values.flatten(1).mean(dim=1)
    return torch.stack([row[:, :height, :width].mean() for row, (height, width) in zip(values, sizes, strict=True)])
