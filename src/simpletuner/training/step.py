"""The training step: what is trained, in one page. Everything else in the project serves these lines."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simpletuner.core.batch import Batch, Sizes
from simpletuner.diffusion import flow
from simpletuner.training.objectives.exposure import cell_weights, row_drift
from simpletuner.training.objectives.losses import cell_losses
from simpletuner.training.objectives.objective import PLAIN, Objective
from simpletuner.training.objectives.perturbation import perturbed
from simpletuner.training.objectives.predict import Predict
from simpletuner.training.objectives.rollout import RolledOut, roll_out
from simpletuner.training.objectives.terms import RowTerms


@dataclass(frozen=True)
class Models:
    """One model, seen three ways: as it is ``trained``; as it would draw a picture ``now``; as the base model is
    (``prior``), for pictures that it is to leave alone.
    """

    trained: Predict
    now: Predict
    prior: Predict | None = None


def row_terms(models: Models, batch: Batch, device: torch.device, objective: Objective = PLAIN) -> RowTerms:
    """The velocity error of each row: the mean over the row's own channels and cells.

    A mask weighs the cells before the mean, and the mean still counts every cell, so a picture that is masked by
    half weighs about half as much.

    The target is the line from image to noise, also where the model is shown something else than a point on it; with
    ``prior`` it is what the untouched base model says there, so that an adapter learns to leave those pictures alone
    (prior preservation, Ruiz et al. 2022, arXiv 2208.12242).
    """
    batch = batch.to(device)
    rolled = _rolled_out(models, batch, objective)
    noisy = flow.mix(batch.latents, batch.noise, batch.sigma) if rolled is None else rolled.noisy
    shown = perturbed(noisy, batch.sigma, batch.extra_noise)
    if models.prior is None:
        target = flow.velocity(batch.latents, batch.noise)
    else:
        with torch.no_grad():
            target = models.prior(shown, batch.sigma, batch.prompts, batch.sizes)
    predicted = models.trained(shown, batch.sigma, batch.prompts, batch.sizes).float()
    cells = cell_losses(objective.loss, predicted - target.float(), batch.sigma)
    reflex = objective.rollout.reflex if objective.rollout is not None else None
    if rolled is not None and reflex is not None:
        cells = cells * cell_weights(reflex, rolled, predicted)
    if batch.mask is not None:
        cells = cells * batch.mask
    loss = _row_means(cells, batch.sizes)
    if rolled is None:
        return RowTerms(loss, torch.zeros_like(loss), torch.zeros_like(loss))
    if reflex is None or reflex.beta1 == 0:
        return RowTerms(loss, rolled.flags, torch.zeros_like(loss))
    drift = row_drift(rolled, predicted, batch)
    return RowTerms(loss + reflex.beta1 * drift, rolled.flags, drift)


def row_losses(predict: Predict, batch: Batch, device: torch.device, prior: Predict | None = None) -> Tensor:
    """The loss of each row, (B,) float32, of plain flow matching."""
    return row_terms(Models(predict, predict, prior), batch, device).loss


def _rolled_out(models: Models, batch: Batch, objective: Objective) -> RolledOut | None:
    """Pictures that are to be left alone are not rolled out: their target is the base model's, wherever they stand."""
    rollout = objective.rollout
    if rollout is None or models.prior is not None or not (rollout.lockstep or any(batch.lengths)):
        return None
    return roll_out(models.now, batch, rollout)


def _row_means(values: Tensor, sizes: Sizes | None) -> Tensor:
    if sizes is None:
        return values.flatten(1).mean(dim=1)
    return torch.stack([row[:, :height, :width].mean() for row, (height, width) in zip(values, sizes, strict=True)])
