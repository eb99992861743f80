"""Draws depend on the use and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from simpletuner.core.batch import Latents
from simpletuner.core.samples import SampleId, Use
from simpletuner.diffusion.timesteps import Beta, Law, Listed, LogitNormal, Uniform, Weighted
from simpletuner.training import draws
from simpletuner.training.objectives.objective import Timesteps
from simpletuner.training.objectives.rollout import Ramp, Rollout

USE = Use(SampleId("cats", "a.png"), 0)
GOLDEN = [0.7342585325241089, 0.6563999056816101, 0.5613570809364319, 0.18873567879199982]


def test_the_same_use_draws_the_same_whatever_was_drawn_before() -> None:
    first = draws.noise(1, USE, (4, 8, 8))
    torch.randn(100)
    draws.sigma(1, USE)
    assert torch.equal(first, draws.noise(1, USE, (4, 8, 8)))


def test_another_visit_sample_or_seed_draws_otherwise() -> None:
    first = draws.noise(1, USE, (4, 8, 8))
    for seed, use in ((1, Use(USE.sample, 1)), (1, Use(SampleId("cats", "b.png"), 0)), (2, USE)):
        assert not torch.equal(first, draws.noise(seed, use, (4, 8, 8)))


def test_sigma_is_logit_normal() -> None:
    values = torch.stack([draws.sigma(0, Use(USE.sample, visit)) for visit in range(4000)])
    assert 0 < values.min() < 0.05
    assert 0.95 < values.max() < 1
    logits = values.logit()
    assert abs(logits.mean()) < 0.05
    assert abs(logits.std() - 1) < 0.05


def test_latents_have_the_posteriors_mean_and_spread() -> None:
    posterior = Latents(mean=torch.full((4, 64, 64), 2.0), logvar=torch.full((4, 64, 64), -2.0))
    drawn = draws.latents(0, USE, posterior)
    assert abs(drawn.mean() - 2) < 0.02
    assert abs(drawn.std() - torch.tensor(-1.0).exp()) < 0.02


def test_a_reference_is_drawn_by_its_place_and_apart_from_the_picture() -> None:
    posterior = Latents(mean=torch.full((4, 8, 8), 2.0), logvar=torch.full((4, 8, 8), -2.0))
    one, two = draws.references(0, USE, [posterior, posterior])
    assert torch.equal(draws.references(0, USE, [posterior])[0], one)
    assert not torch.equal(one, two)
    assert not torch.equal(one, draws.latents(0, USE, posterior))
    assert not torch.equal(one, draws.references(0, Use(USE.sample, 1), [posterior])[0])
    assert abs(one.mean() - 2) < 0.1


def test_sets_of_references_take_turns() -> None:
    uses = [Use(USE.sample, visit) for visit in range(600)]
    drawn = [draws.reference_set(0, use, 3) for use in uses]
    assert drawn == [draws.reference_set(0, use, 3) for use in uses]
    assert all(150 < drawn.count(number) < 250 for number in range(3))


def test_captions_are_all_used_and_dropout_keeps_its_share() -> None:
    uses = [Use(USE.sample, visit) for visit in range(2000)]
    assert {draws.caption(0, use, ("a", "b", "c")) for use in uses[:50]} == {"a", "b", "c"}
    share = sum(draws.drops_caption(0, use, 0.1) for use in uses) / len(uses)
    assert 0.07 < share < 0.13
    assert not any(draws.drops_caption(0, use, 0.0) for use in uses[:100])


def test_the_usual_sigma_is_the_one_it_always_was() -> None:
    """Golden: another figure here is another run for everyone who resumes."""
    values = [draws.sigma(42, Use(USE.sample, visit, position=visit)).item() for visit in range(4)]
    assert values == GOLDEN
    normal = torch.randn((), generator=draws.draw(42, USE, "sigma"))
    assert values[0] == normal.sigmoid().item()


@pytest.mark.parametrize("law", [Uniform(), Beta(2, 5), Weighted((1, 3, 1)), Listed((0.2, 0.8)), LogitNormal(2.0)])
def test_a_draw_has_its_law(law: Law) -> None:
    """The mean and the spread of random draws are those of the quantile over even shares."""
    found = torch.stack([draws.sigma(0, Use(USE.sample, visit), Timesteps(law)) for visit in range(1500)])
    even = torch.tensor([law.quantile((number + 0.5) / 1500) for number in range(1500)])
    assert found.dtype == torch.float32
    assert found.mean().item() == pytest.approx(even.mean().item(), abs=0.025)
    assert found.std().item() == pytest.approx(even.std().item(), abs=0.02)


def test_stratified_draws_depend_on_the_place_in_the_run_alone() -> None:
    even = Timesteps(Uniform(), stratified=True)
    one = draws.sigma(3, Use(USE.sample, 0, position=17), even)
    assert torch.equal(one, draws.sigma(3, Use(SampleId("dogs", "b.png"), 9, position=17), even))
    assert not torch.equal(one, draws.sigma(3, Use(USE.sample, 0, position=18), even))
    assert not torch.equal(one, draws.sigma(4, Use(USE.sample, 0, position=17), even))


def test_stratified_draws_make_the_mean_loss_steadier() -> None:
    """A loss that depends on sigma, averaged over updates of 8 uses: the variance of the means falls fivefold."""
    spread = {}
    for stratified in (False, True):
        timesteps = Timesteps(stratified=stratified)
        uses = [Use(SampleId("d", str(number)), 0, position=number) for number in range(1600)]
        losses = torch.stack([draws.sigma(1, use, timesteps) for use in uses]).square()
        spread[stratified] = losses.view(-1, 8).mean(dim=1).var().item()
    assert spread[True] < spread[False] / 4


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("offset", [-1.5, 0.25])
def test_an_offset_moves_every_draw_of_its_data_set_by_so_much(offset: float, even: bool) -> None:
    """Before the sigmoid, after the scale, and of the very draws that there are without it."""
    plain = Timesteps(LogitNormal(0.5), stratified=even)
    moved = replace(plain, own={"cats": LogitNormal(0.5, offset)})
    cats, dogs = (
        [Use(SampleId(name, "a.png"), visit, position=visit) for visit in range(500)] for name in ("cats", "dogs")
    )
    without, found = (torch.stack([draws.sigma(1, use, law) for use in cats]) for law in (plain, moved))
    assert (found.logit() - without.logit()).tolist() == pytest.approx([offset] * 500, abs=1e-4)
    assert found.logit().mean().item() == pytest.approx(offset, abs=0.1)
    assert all(torch.equal(draws.sigma(1, use, moved), draws.sigma(1, use, plain)) for use in dogs)


def test_an_offset_of_0_moves_nothing_to_the_bit() -> None:
    still = Timesteps(own={"cats": LogitNormal(1.0, 0.0)})
    values = [draws.sigma(42, Use(USE.sample, visit, position=visit), still).item() for visit in range(4)]
    assert values == GOLDEN


def test_turns_go_round_by_the_place_in_the_run() -> None:
    timesteps = Timesteps(Listed((0.1, 0.5, 0.9)), turns=3)
    found = [draws.sigma(0, Use(USE.sample, 0, position=place), timesteps).item() for place in range(7)]
    assert found == pytest.approx([0.1, 0.5, 0.9, 0.1, 0.5, 0.9, 0.1])


def test_roll_outs_are_the_uses_own_and_a_ramp_only_adds_some() -> None:
    rollout = Rollout(4, Ramp(0.0, 1.0, steps=100))
    uses = [Use(USE.sample, visit) for visit in range(400)]
    found = {step: [draws.rollout_length(0, use, step, 0.5, rollout) for use in uses] for step in (1, 51, 101)}
    assert not any(found[1])
    assert set(found[101]) == {0, 1, 2, 3, 4}
    share = sum(length > 0 for length in found[51]) / sum(length > 0 for length in found[101])
    assert 0.4 < share < 0.6
    assert all(half in (0, whole) for half, whole in zip(found[51], found[101], strict=True))


def test_extra_noise_is_not_the_noise_and_masks_keep_their_share() -> None:
    extra, usual = draws.extra_noise(0, USE, (4, 32, 32), 0.1), draws.noise(0, USE, (4, 32, 32))
    assert abs(extra.std().item() - 0.1) < 0.005
    assert abs((extra * usual).mean().item()) < 0.01
    uses = [Use(USE.sample, visit) for visit in range(2000)]
    assert 0.26 < sum(draws.keeps_mask(0, use, 0.3) for use in uses) / 2000 < 0.34
    assert all(draws.keeps_mask(0, use, 1.0) for use in uses[:100])
