"""Objectives in whole updates of a real tiny model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simpletuner.adapters.base import Adapter
from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.adapters.peft import attach_lora
from simpletuner.adapters.targets import LoraSettings
from simpletuner.config.files.lycoris import parse_lycoris
from simpletuner.core.batch import Batch, Prompt
from simpletuner.core.events import StepDone
from simpletuner.core.progress import Progress
from simpletuner.core.samples import SampleId, Use
from simpletuner.diffusion.sampler import euler, follow, sigmas
from simpletuner.diffusion.timesteps import Uniform
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS
from simpletuner.training.loop import Course, run
from simpletuner.training.model import TrainedModel
from simpletuner.training.objectives.losses import Loss
from simpletuner.training.objectives.objective import PLAIN, Objective, Timesteps
from simpletuner.training.objectives.perturbation import InputPerturbation
from simpletuner.training.objectives.reflexflow import ReflexFlow
from simpletuner.training.objectives.rollout import Ramp, Rollout, roll_out
from simpletuner.training.step import Models, row_terms
from simpletuner.training.update import Engine, _as_it_draws
from tests.models.omnigen.tiny_model import random_omnigen
from tests.training.test_loop import course, engine, weights

CPU = torch.device("cpu")
ROLLED = Rollout(4, Ramp(1.0, 1.0), timesteps=20, reflex=ReflexFlow())
EVERYTHING = Objective(Loss("huber"), Timesteps(Uniform(), stratified=True), ROLLED, InputPerturbation(0.1, 4))


def trained(objective: Objective, made: Engine | None = None, **options: Any) -> tuple[Engine, list[StepDone]]:
    """Five updates of four pictures."""
    told: list[Any] = []
    with_it = replace(made or engine(**options), objective=objective)
    run(with_it, course(), Progress(), (), told.append)
    return with_it, [event for event in told if isinstance(event, StepDone)]


def test_no_chance_of_a_roll_out_is_plain_training_to_the_bit() -> None:
    plain, steps = trained(PLAIN)
    for probability in (Ramp(0.0, 0.0), Ramp(0.0, 1.0, first=5, steps=10)):
        also, others = trained(Objective(rollout=replace(ROLLED, probability=probability)))
        assert torch.equal(weights(plain), weights(also))
        assert [step.loss for step in others] == [step.loss for step in steps]
    rolled, _ = trained(Objective(rollout=ROLLED))
    assert not torch.equal(weights(plain), weights(rolled))


def test_slicing_an_update_changes_no_weight_and_no_figure() -> None:
    whole, steps = trained(EVERYTHING, size=2)
    sliced, others = trained(EVERYTHING, size=1)
    assert (weights(whole) - weights(sliced)).abs().max() < 1e-5
    for step, other in zip(steps, others, strict=True):
        assert step.metrics == pytest.approx(other.metrics, rel=1e-3)
    shares = [step.metrics["scheduled_sampling/share"] for step in steps]
    assert set(shares) <= {0, 0.5, 1}
    assert max(shares) == 1
    assert all(
        ("scheduled_sampling/drift" in step.metrics) == bool(share) for step, share in zip(steps, shares, strict=True)
    )


def test_plain_training_tells_nothing_of_roll_outs() -> None:
    _, steps = trained(PLAIN)
    assert not [name for step in steps for name in step.metrics if "scheduled" in name]


def test_a_roll_out_of_the_model_is_the_picture_that_the_sampler_draws_to_the_bit() -> None:
    """From pure noise to the end of the way, and to the middle of it."""
    made = adapted()
    draws = torch.Generator().manual_seed(2)
    latents, noise = (torch.randn(2, 4, 4, 4, generator=draws) for _ in range(2))
    prompts = tuple(Prompt(torch.tensor(ids)) for ids in ([1, 5, 9], [1, 7]))
    uses = tuple(Use(SampleId("d", str(row)), 0) for row in range(2))
    now = _as_it_draws(made.model)

    def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
        return now(noisy, sigma, prompts, None)

    for length, end in ((4, 0.0), (2, 0.5)):
        given = Batch(uses, latents, noise, torch.full((2,), end), prompts, lengths=(length,) * 2)
        rolled = roll_out(now, given, Rollout(4, Ramp(1.0, 1.0), timesteps=4))
        assert torch.equal(rolled.noisy, follow(noise, velocity, sigmas(4)[: length + 1]))
    assert torch.equal(follow(noise, velocity, sigmas(4)), euler(noise, velocity, 4))


class Watched(TrainedModel):
    """Notes the random stream, the mode and the adapter's rows at each pass."""

    def watch(self) -> None:
        self.learning: list[tuple[Tensor, int]] = []
        self.drawing: list[Tensor] = []

    def forward(self, noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Any = None) -> Tensor:
        assert self.training == torch.is_grad_enabled(), "a roll-out leaves nothing behind and drops nothing out"
        if self.training:
            self.learning.append((torch.get_rng_state(), len(noisy)))
        else:
            self.drawing.append(sigma)
        return super().forward(noisy, sigma, prompts, sizes)


def lycoris(denoiser: nn.Module, algo: str = "lokr", **changes: Any) -> Adapter:
    raw = {
        "algo": algo, "linear_dim": 4, "linear_alpha": 4, "multiplier": 1.0,
        "apply_preset": {"target_module": ["Attention", "FeedForward"]},
    }  # fmt: skip
    return attach_lycoris(
        denoiser, parse_lycoris(raw | changes, Path("lycoris_config.json")), FACTS.class_aliases, seed=1
    )


def adapted(algo: str = "lokr", **changes: Any) -> Engine:
    """An engine whose adapter does something from the first step on."""
    denoiser = random_omnigen(num_layers=1).requires_grad_(requires_grad=False)
    adapter = lycoris(denoiser, algo, **changes)
    model = Watched(OmniGen(), denoiser, adapter)
    model.watch()
    draws = torch.Generator().manual_seed(0)
    for parameter in adapter.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=draws) * 0.05)
    trainable = list(model.trainable().values())
    return replace(engine(), model=model.train(), optimizer=torch.optim.SGD(trainable, lr=0.1))


@pytest.mark.parametrize(
    ("algo", "changes"), [("locon", {"dropout": 0.5}), ("tlora", {}), ("dylora", {"linear_dim": 8})]
)
def test_a_roll_out_disturbs_no_dropout_and_no_rank_mask(algo: str, changes: Mapping[str, Any]) -> None:
    """The learning passes begin at the same places of torch's stream as without roll-outs."""
    streams, drawing = [], []
    for objective in (PLAIN, Objective(rollout=ROLLED)):
        made = adapted(algo, **changes)
        trained(objective, made)
        assert isinstance(made.model, Watched)
        streams.append(made.model.learning)
        drawing.append(made.model.drawing)
    assert [rows for _, rows in streams[0]] == [rows for _, rows in streams[1]]
    assert all(torch.equal(one[0], other[0]) for one, other in zip(*streams, strict=True))
    assert not drawing[0]
    assert len(drawing[1]) > 5


def answers(made: Engine, sigma: Tensor) -> Tensor:
    draws = torch.Generator().manual_seed(3)
    noisy = torch.randn(len(sigma), 4, 4, 4, generator=draws)
    return made.model(noisy, sigma, [Prompt(torch.tensor([1, 5, 9]))] * len(sigma))


def test_each_row_of_a_roll_out_has_the_ranks_of_its_own_share_of_noise() -> None:
    """T-LoRA beside itself: a pass of two rows at two shares is two passes of one."""
    made = adapted("tlora")
    with torch.no_grad():
        made.model.eval()
        both = answers(made, torch.tensor([0.95, 0.05]))
        alone = torch.cat(
            [answers(made, torch.tensor([share, share]))[row : row + 1] for row, share in enumerate((0.95, 0.05))]
        )
    assert torch.allclose(both, alone, atol=1e-5)


@pytest.mark.parametrize("kind", ["lokr", "standard"])
@pytest.mark.parametrize("objective", [PLAIN, EVERYTHING, Objective(Loss("smooth_l1"))], ids=["plain", "all", "bent"])
def test_a_fresh_adapter_has_no_loss_on_pictures_to_leave_alone(kind: str, objective: Objective) -> None:
    denoiser = random_omnigen(num_layers=1).requires_grad_(requires_grad=False)
    if kind == "lokr":
        adapter = lycoris(denoiser)
    else:
        shapes = OmniGen().linears(denoiser)
        adapter = attach_lora(denoiser, LoraSettings(rank=4, alpha=4), FACTS.class_aliases, shapes, seed=1)
    model = TrainedModel(OmniGen(), denoiser, adapter)
    made = replace(engine(prior=True), model=model, optimizer=torch.optim.SGD(model.trainable().values(), lr=0.1))
    _, steps = trained(objective, made)
    assert [step.metrics["regularisation_loss"] for step in steps] == [0] * 5
    assert [step.metrics["grad_absmax"] for step in steps] == [0] * 5


def test_the_strength_that_was_comes_back_after_the_base_model_was_asked() -> None:
    """Not 1: half an adapter stays half an adapter, through every update."""
    laid = adapted().model
    made = replace(engine(), model=TrainedModel(laid.family, laid.denoiser, laid.adapter))
    full = answers(made, torch.tensor([0.5])).detach()
    at_rest = torch.optim.SGD(made.model.trainable().values(), lr=0.0)
    still = replace(made, prior=lambda dataset: True, optimizer=at_rest, schedule=replace(made.schedule, peak=0.0))
    with made.model.strength(0.5):
        half = answers(made, torch.tensor([0.5])).detach()
        run(still, Course(course().plan, max_steps=2), Progress(), (), lambda event: None)
        assert torch.equal(answers(made, torch.tensor([0.5])), half)
    assert not torch.equal(full, half)
    assert torch.equal(answers(made, torch.tensor([0.5])), full)


def test_another_picture_where_the_mask_is_black_changes_no_bit_of_any_gradient() -> None:
    """At sigma 1/2 the mixture stays when the picture gains what the noise loses: only the target differs."""
    draws = torch.Generator().manual_seed(0)
    latents, noise = (torch.randint(-64, 64, (2, 4, 4, 4), generator=draws) / 64 for _ in range(2))
    mask = torch.ones(2, 1, 4, 4)
    mask[:, :, :, :2] = 0
    change = torch.randint(-64, 64, (2, 4, 4, 4), generator=draws) / 64
    for loss in (Loss(), Loss("huber"), Loss("smooth_l1")):
        hidden, seen = change * (1 - mask), change * mask
        before, after, otherwise = (
            gradients(latents + moved, noise - moved, mask, loss) for moved in (0, hidden, seen)
        )
        assert before.count_nonzero() > 1000
        assert torch.equal(before, after)
        assert not torch.equal(before, otherwise)


def gradients(latents: Tensor, noise: Tensor, mask: Tensor, loss: Loss) -> Tensor:
    """Those of all weights of a tiny model."""
    model = TrainedModel(OmniGen(), random_omnigen(num_layers=1).requires_grad_(requires_grad=True), None)
    uses = tuple(Use(SampleId("d", str(row)), 0) for row in range(2))
    prompts = (Prompt(torch.tensor([1, 2])),) * 2
    batch = Batch(uses, latents, noise, torch.full((2,), 0.5), prompts, mask=mask)
    row_terms(Models(model, model), batch, CPU, Objective(loss)).loss.sum().backward()
    return torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])
