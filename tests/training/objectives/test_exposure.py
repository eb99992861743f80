"""ReflexFlow's terms on the rows that the model drew itself, and on no others."""

from __future__ import annotations

import pytest
import torch

from simpletuner.core.batch import Batch
from simpletuner.core.samples import SampleId, Use
from simpletuner.training.objectives.exposure import cell_weights, row_drift
from simpletuner.training.objectives.reflexflow import ReflexFlow, anti_drift, frequency_compensation
from simpletuner.training.objectives.rollout import RolledOut

ROWS = torch.tensor([0, 2])


def tensors(count: int, rows: int = 3) -> list[torch.Tensor]:
    draws = torch.Generator().manual_seed(count)
    return [torch.randn(rows, 2, 2, 2, generator=draws) for _ in range(count)]


def batch(latents: torch.Tensor, mask: torch.Tensor | None = None) -> Batch:
    uses = tuple(Use(SampleId("d", str(row)), 0) for row in range(3))
    return Batch(uses, latents, torch.zeros_like(latents), torch.full((3,), 0.5), (), mask=mask)


def test_only_rolled_out_rows_are_weighed_and_no_gradient_flows_through_the_weight() -> None:
    noisy, predicted, straight = tensors(3)
    predicted.requires_grad_()
    weights = cell_weights(ReflexFlow(2.0, 0.0, 3.0), RolledOut(noisy, ROWS, straight[ROWS]), predicted)
    assert not weights.requires_grad
    assert torch.equal(weights[1], torch.ones(2, 2, 2))
    expected = 3 * frequency_compensation(straight[ROWS], predicted[ROWS], 2.0)
    assert torch.equal(weights[ROWS], expected)


def test_without_compensation_the_weight_is_beta2() -> None:
    noisy, predicted = tensors(2)
    weights = cell_weights(ReflexFlow(0.0, 1.0, 0.5), RolledOut(noisy, ROWS, None), predicted)
    assert [weights[row].unique().tolist() for row in range(3)] == [[0.5], [1.0], [0.5]]


def test_the_drift_is_that_of_where_the_model_stands() -> None:
    noisy, predicted, latents = tensors(3)
    drift = row_drift(RolledOut(noisy, ROWS, None), predicted, batch(latents))
    assert drift[1] == 0
    assert torch.equal(drift[ROWS], anti_drift(predicted[ROWS], (noisy - latents)[ROWS]))


@pytest.mark.parametrize("cell", [(0, 0), (1, 1)])
def test_what_a_mask_leaves_out_has_no_part_in_the_drift(cell: tuple[int, int]) -> None:
    noisy, predicted, latents = tensors(3)
    mask = torch.ones(3, 1, 2, 2)
    mask[..., cell[0], cell[1]] = 0
    predicted.requires_grad_()
    drift = row_drift(RolledOut(noisy, ROWS, None), predicted, batch(latents, mask))
    drift.sum().backward()
    assert predicted.grad is not None
    assert predicted.grad[..., cell[0], cell[1]].count_nonzero() == 0
    assert predicted.grad[ROWS].count_nonzero() == 2 * 2 * 3
    moved = latents.clone()
    moved[..., cell[0], cell[1]] += 5
    assert torch.equal(row_drift(RolledOut(noisy, ROWS, None), predicted, batch(moved, mask)), drift)
