"""The step, against its definition."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simpletuner.core.batch import Batch
from simpletuner.core.samples import SampleId, Use
from simpletuner.training.step import row_losses

CPU = torch.device("cpu")


def batch(rows: int = 3) -> Batch:
    return Batch(
        uses=tuple(Use(SampleId("d", str(row)), 0) for row in range(rows)),
        latents=torch.randn(rows, 4, 4, 4),
        noise=torch.randn(rows, 4, 4, 4),
        sigma=torch.tensor([0.1, 0.5, 0.9])[:rows],
        prompts=tuple(torch.tensor([1, 2]) for _ in range(rows)),
    )


def test_a_model_that_knows_the_answer_has_no_loss_and_zero_has_the_velocitys_own_size() -> None:
    made = batch()
    velocity = made.noise - made.latents
    assert row_losses(lambda noisy, sigma, prompts: velocity, made, CPU).abs().max() == 0
    nothing = row_losses(lambda noisy, sigma, prompts: torch.zeros_like(noisy), made, CPU)
    assert torch.allclose(nothing, velocity.square().flatten(1).mean(1))


def test_the_model_sees_the_mixture_at_its_sigma() -> None:
    made = batch()

    def predict(noisy: Tensor, sigma: Tensor, prompts: Sequence[Tensor]) -> Tensor:
        share = sigma[:, None, None, None]
        assert torch.allclose(noisy, (1 - share) * made.latents + share * made.noise)
        assert len(prompts) == 3
        return noisy

    row_losses(predict, made, CPU)


def test_a_prior_replaces_the_target_and_gets_no_gradient() -> None:
    made, weight = batch(), torch.tensor(2.0, requires_grad=True)
    losses = row_losses(
        lambda noisy, sigma, prompts: noisy * weight, made, CPU, prior=lambda noisy, sigma, prompts: noisy * weight
    )
    losses.sum().backward()
    assert losses.abs().max() == 0
    assert weight.grad == 0
