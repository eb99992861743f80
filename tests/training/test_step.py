"""The step, against its definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from simpletuner.core.batch import Batch, Prompt, Sizes
from simpletuner.core.samples import SampleId, Use
from simpletuner.training.objectives.losses import Loss, cell_losses
from simpletuner.training.objectives.objective import Objective
from simpletuner.training.objectives.reflexflow import ReflexFlow
from simpletuner.training.objectives.rollout import Ramp, Rollout
from simpletuner.training.step import Models, RowTerms, row_losses, row_terms

CPU = torch.device("cpu")


def batch(rows: int = 3) -> Batch:
    return Batch(
        uses=tuple(Use(SampleId("d", str(row)), 0) for row in range(rows)),
        latents=torch.randn(rows, 4, 4, 4),
        noise=torch.randn(rows, 4, 4, 4),
        sigma=torch.tensor([0.1, 0.5, 0.9])[:rows],
        prompts=tuple(Prompt(torch.tensor([1, 2])) for _ in range(rows)),
    )


def test_a_model_that_knows_the_answer_has_no_loss_and_zero_has_the_velocitys_own_size() -> None:
    made = batch()
    velocity = made.noise - made.latents
    assert row_losses(lambda noisy, sigma, prompts, sizes: velocity, made, CPU).abs().max() == 0
    nothing = row_losses(lambda noisy, sigma, prompts, sizes: torch.zeros_like(noisy), made, CPU)
    assert torch.equal(nothing, velocity.square().flatten(1).mean(1))


def test_the_model_sees_the_mixture_at_its_sigma() -> None:
    made = batch()

    def predict(noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None) -> Tensor:
        share = sigma[:, None, None, None]
        assert torch.allclose(noisy, (1 - share) * made.latents + share * made.noise)
        assert len(prompts) == 3
        assert sizes is None
        return noisy

    row_losses(predict, made, CPU)


def test_a_prior_replaces_the_target_and_gets_no_gradient() -> None:
    made, weight = batch(), torch.tensor(2.0, requires_grad=True)

    def predict(noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None) -> Tensor:
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

    def __call__(self, noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None) -> Tensor:
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


ROLLED = Rollout(3, Ramp(1.0, 1.0), timesteps=10, reflex=ReflexFlow(alpha=2.0, beta1=0.5, beta2=3.0))
HUBER = Loss("huber", 0.2, "snr")


def wave(noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None) -> Tensor:
    """A model without parameters whose answer depends on what it sees; 0 in padding."""
    return noisy.sin() * (1 + sigma)[:, None, None, None]


def terms(made: Batch, objective: Objective, prior: bool = False) -> tuple[RowTerms, Tensor, Tensor]:
    """The terms, and what the trained model was shown and answered, which has a gradient."""
    seen: list[Tensor] = []

    def trained(noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None) -> Tensor:
        seen[:] = [noisy, (wave(noisy, sigma, prompts, sizes) * 1.1).requires_grad_()]
        return seen[1]

    found = row_terms(Models(trained, wave, wave if prior else None), made, CPU, objective)
    return found, seen[0], seen[1]


def one_step(made: Batch, row: int, sigma: float, to: float) -> Tensor:
    """One Euler step of the wave from the mixture at ``sigma``, by hand."""
    noisy = (1 - sigma) * made.latents[row] + sigma * made.noise[row]
    return noisy + (to - sigma) * (noisy.sin() * (1 + sigma))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("loss", [Loss(), HUBER])
def test_a_rolled_out_row_has_the_loss_of_the_paper_and_its_neighbour_the_usual_one(
    *, loss: Loss, masked: bool
) -> None:
    mask = (torch.rand(3, 1, 4, 4) > 0.3).float() if masked else None
    made = replace(batch(), mask=mask, lengths=(1, 0, 0))
    found, shown, answer = terms(made, Objective(loss=loss, rollout=ROLLED))
    counted = torch.ones(3, 1, 4, 4) if mask is None else mask
    usual = cell_losses(loss, answer - (made.noise - made.latents), made.sigma) * counted
    assert torch.allclose(found.loss[1:], usual[1:].flatten(1).mean(1))
    drawn = one_step(made, 0, 0.2, 0.1)
    assert torch.allclose(shown[0], drawn, atol=1e-6)
    straight = (0.9 * made.latents[0] + 0.1 * made.noise[0]).sin() * 1.1
    bias = straight - answer[0]
    weighed = (usual[0] * (1 + 2 * bias / bias.abs().sum())).mean()
    p, q = answer[0] * counted[0], (drawn - made.latents[0]) * counted[0]
    drift = 2 - 2 * (p * q).sum() / (p.norm() * q.norm())
    assert torch.allclose(found.loss[0], 3 * weighed + 0.5 * drift, rtol=1e-4)
    assert torch.allclose(found.drift, torch.tensor([drift.item(), 0, 0]), rtol=1e-4)
    assert found.rolled.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    "objective", [Objective(loss=Loss("smooth_l1")), Objective(rollout=ROLLED)], ids=["bent", "rolled"]
)
def test_what_is_masked_out_has_no_gradient_at_all(objective: Objective) -> None:
    mask = torch.ones(3, 1, 4, 4)
    mask[:, :, :2] = 0
    found, _, answer = terms(replace(batch(), mask=mask, lengths=(2, 0, 3)), objective)
    found.loss.sum().backward()
    assert answer.grad is not None
    assert answer.grad[:, :, :2].count_nonzero() == 0
    assert answer.grad[:, :, 2:].count_nonzero() == 3 * 4 * 2 * 4


def test_rows_of_no_length_are_trained_as_ever_to_the_bit() -> None:
    made = batch()
    plain, shown, _ = terms(made, Objective())
    for lengths, objective in (((0, 0, 0), Objective(rollout=ROLLED)), ((), Objective(rollout=ROLLED))):
        rolled, also_shown, _ = terms(replace(made, lengths=lengths), objective)
        assert torch.equal(rolled.loss, plain.loss)
        assert torch.equal(also_shown, shown)
    beside, _, _ = terms(replace(made, lengths=(0, 2, 0)), Objective(rollout=ROLLED))
    assert torch.equal(beside.loss[[0, 2]], plain.loss[[0, 2]])
    assert beside.loss[1] != plain.loss[1]


def test_pictures_to_leave_alone_are_not_rolled_out() -> None:
    made = replace(batch(), lengths=(3, 3, 1))
    found, shown, _ = terms(made, Objective(rollout=ROLLED), prior=True)
    plain, also_shown, _ = terms(made, Objective(), prior=True)
    assert torch.equal(found.loss, plain.loss)
    assert torch.equal(shown, also_shown)
    assert found.rolled.count_nonzero() == 0


def test_without_reflexflow_only_the_input_changes() -> None:
    made = replace(batch(), lengths=(1, 2, 1))
    found, shown, answer = terms(made, Objective(rollout=replace(ROLLED, reflex=None)))
    error = (answer - (made.noise - made.latents)).square().flatten(1).mean(1)
    assert torch.equal(found.loss, error)
    assert torch.allclose(shown[0], one_step(made, 0, 0.2, 0.1), atol=1e-6)
    assert found.drift.count_nonzero() == 0


@pytest.mark.parametrize("has_prior", [False, True])
def test_extra_noise_is_shown_and_not_asked_for(*, has_prior: bool) -> None:
    made = replace(batch(), extra_noise=0.1 * torch.randn(3, 4, 4, 4))
    assert made.extra_noise is not None
    found, shown, answer = terms(made, Objective(), has_prior)
    share = made.sigma[:, None, None, None]
    assert torch.allclose(shown, (1 - share) * made.latents + share * (made.noise + made.extra_noise), atol=1e-6)
    target = answer / 1.1 if has_prior else made.noise - made.latents
    assert torch.allclose(found.loss, (answer - target).square().flatten(1).mean(1), rtol=1e-4)
