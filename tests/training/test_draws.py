"""Draws depend on the use and nothing else."""

from __future__ import annotations

import torch

from simpletuner.core.batch import Latents
from simpletuner.core.samples import SampleId, Use
from simpletuner.training import draws

USE = Use(SampleId("cats", "a.png"), 0)


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


def test_captions_are_all_used_and_dropout_keeps_its_share() -> None:
    uses = [Use(USE.sample, visit) for visit in range(2000)]
    assert {draws.caption(0, use, ("a", "b", "c")) for use in uses[:50]} == {"a", "b", "c"}
    share = sum(draws.drops_caption(0, use, 0.1) for use in uses) / len(uses)
    assert 0.07 < share < 0.13
    assert not any(draws.drops_caption(0, use, 0.0) for use in uses[:100])
