"""The step, against its definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from simpletuner.core.batch import Batch, Sizes
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
    assert row_losses(lambda noisy, sigma, prompts, sizes: velocity, made, CPU).abs().max() == 0
    nothing = row_losses(lambda noisy, sigma, prompts, sizes: torch.zeros_like(noisy), made, CPU)
    assert torch.equal(nothing, velocity.square().flatten(1).mean(1))


def test_the_model_sees_the_mixture_at_its_sigma() -> None:
    made = batch()

    def predict(noisy: Tensor, sigma: Tensor, prompts: Sequence[Tensor], sizes: Sizes | None) -> Tensor:
        share = sigma[:, None, None, None]
        assert torch.allclose(noisy, (1 - share) * made.latents + share * made.noise)
        assert len(prompts) == 3
        assert sizes is None
        return noisy

    row_losses(predict, made, CPU)


def test_a_prior_replaces_the_target_and_gets_no_gradient() -> None:
    made, weight = batch(), torch.tensor(2.0, requires_grad=True)

    def predict(noisy: Tensor, sigma: Tensor, prompts: Sequence[Tensor], sizes: Sizes | None) -> Tensor:
        return noisy * weight

    losses = row_losses(predict, made, CPU, prior=predict)
    losses.sum().backward()
    assert losses.abs().max() == 0
    assert weight.grad == 0


SIZES: Sizes = ((2, 4), (4, 2), (4, 4))


class Answer:
    """Predicts ``velocity`` and remembers the sizes it was told."""

    def __init__(self, velocity: Tensor) -> None:
        self.velocity = velocity.requires_grad_()
        self.told: Sizes | None = None

    def __call__(self, noisy: Tensor, sigma: Tensor, prompts: Sequence[Tensor], sizes: Sizes | None) -> Tensor:
        self.told = sizes
        return self.velocity.clone()


@pytest.mark.parametrize("has_prior", [False, True])
def test_a_row_of_its_own_size_is_averaged_over_that_size_and_nothing_else(*, has_prior: bool) -> None:
    made, answer, before = (
        replace(batch(), sizes=SIZES),
        Answer(torch.randn(3, 4, 4, 4)),
        Answer(torch.randn(3, 4, 4, 4)),
    )
    losses = row_losses(answer, made, CPU, before if has_prior else None)
    losses.sum().backward()
    error = answer.velocity - (before.velocity if has_prior else made.noise - made.latents)
    gradient = answer.velocity.grad
    assert gradient is not None
    for row, (h, w) in enumerate(SIZES):
        assert torch.allclose(losses[row], error[row, :, :h, :w].square().mean())
        assert gradient[row, :, :h, :w].count_nonzero() == 4 * h * w
        assert gradient[row].count_nonzero() == 4 * h * w
    assert before.velocity.grad is None
    assert answer.told == SIZES
    assert before.told == (SIZES if has_prior else None)


@pytest.mark.parametrize("has_prior", [False, True])
@pytest.mark.parametrize("sizes", [None, SIZES])
def test_a_mask_weighs_the_squares_before_the_mean(sizes: Sizes | None, *, has_prior: bool) -> None:
    mask = torch.rand(3, 1, 4, 4).round(decimals=1)
    mask[:, :, 0, 0], mask[:, :, 1, 1] = 0, 1
    made, answer, before = (
        replace(batch(), sizes=sizes, mask=mask),
        Answer(torch.randn(3, 4, 4, 4)),
        Answer(torch.randn(3, 4, 4, 4)),
    )
    losses = row_losses(answer, made, CPU, before if has_prior else None)
    losses.sum().backward()
    error = answer.velocity - (before.velocity if has_prior else made.noise - made.latents)
    for row, (h, w) in enumerate(sizes or [(4, 4)] * 3):
        weighed = (error.square() * mask)[row, :, :h, :w]
        assert torch.allclose(losses[row], weighed.sum() / (4 * h * w))
    gradient = answer.velocity.grad
    assert gradient is not None
    assert gradient[(mask == 0).expand_as(gradient)].count_nonzero() == 0
    assert gradient[:, :, 1, 1].count_nonzero() == 12


def test_a_mask_of_ones_changes_no_bit() -> None:
    made = batch()
    answer = Answer(torch.randn(3, 4, 4, 4))
    masked = row_losses(answer, replace(made, mask=torch.ones(3, 1, 4, 4)), CPU)
    assert torch.equal(masked, row_losses(answer, made, CPU))
