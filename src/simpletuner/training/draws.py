"""Everything random about one use of a sample, keyed by (seed, sample, visit).

Batch slicing, the number of processes or a resume cannot change a draw, because none of them is in the key.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.keyed import derive_seed
from simpletuner.core.samples import Use
from simpletuner.core.seeds import generator
from simpletuner.diffusion.flow import logit_normal_sigma
from simpletuner.diffusion.timesteps import LogitNormal, stratified
from simpletuner.training.objectives.objective import USUAL, Timesteps
from simpletuner.training.objectives.rollout import Rollout


def draw(seed: int, use: Use, purpose: str) -> torch.Generator:
    """The generator for one purpose (noise, sigma, posterior, caption, mask, rollout ...) of one use."""
    return generator(seed, use.sample, use.visit, purpose)


def noise(seed: int, use: Use, shape: Sequence[int]) -> Tensor:
    """Standard normal noise of ``shape`` (C, h, w)."""
    return torch.randn(tuple(shape), generator=draw(seed, use, "noise"))


def sigma(seed: int, use: Use, timesteps: Timesteps = USUAL) -> Tensor:
    """The share of noise of this use, a float32 scalar in 0 to 1."""
    law, stream = timesteps.law_of(use.sample.dataset), draw(seed, use, "sigma")
    if timesteps.stratified:
        share = stratified(derive_seed(seed, "stratified timesteps"), use.position)
    elif timesteps.turns:
        share = (use.position % timesteps.turns + 0.5) / timesteps.turns
    elif isinstance(law, LogitNormal):
        return logit_normal_sigma(stream, law.scale, law.location)
    else:
        # A share of 0 has no normal quantile; halfway to the next double nothing is lost.
        share = float(torch.rand((), generator=stream, dtype=torch.float64)) + 2**-54
    return torch.tensor(law.quantile(share), dtype=torch.float32)


def rollout_length(seed: int, use: Use, step: int, sigma: float, rollout: Rollout) -> int:
    """How many steps this use is rolled out in update ``step`` (1-based) towards ``sigma``; 0 for not at all.

    The chance is the use's own, and a ramp moves only what it is held against.
    """
    chance, share = torch.rand(2, generator=draw(seed, use, "rollout")).tolist()
    return rollout.length(chance, share, step, sigma)


def extra_noise(seed: int, use: Use, shape: Sequence[int], strength: float) -> Tensor:
    """Noise of ``shape`` (C, h, w) that the model is shown beside that of its target: ``strength`` times normal."""
    return strength * torch.randn(tuple(shape), generator=draw(seed, use, "perturbation"))


def keeps_mask(seed: int, use: Use, probability: float) -> bool:
    """Whether this use trains with its mask."""
    return bool(torch.rand((), generator=draw(seed, use, "mask")) < probability)


def latents(seed: int, use: Use, posterior: Latents) -> Tensor:
    """A draw from the VAE's posterior, (C, h, w): pictures are not points, and the reference trains on draws."""
    return _drawn(posterior, draw(seed, use, "posterior"))


def references(seed: int, use: Use, posteriors: Sequence[Latents]) -> tuple[Tensor, ...]:
    """A draw from the posterior of each input picture, (C, h, w): the official trainer encodes them as it does images.

    The k-th is keyed by its place, so that it is the same whatever the others are.
    """
    return tuple(
        _drawn(posterior, draw(seed, use, f"reference {number}")) for number, posterior in enumerate(posteriors, 1)
    )


def reference_set(seed: int, use: Use, count: int) -> int:
    """Which of ``count`` data sets of references, from 0, this use takes its input picture from."""
    return int(torch.randint(count, (), generator=draw(seed, use, "reference set")))


def _drawn(posterior: Latents, stream: torch.Generator) -> Tensor:
    return posterior.mean + (posterior.logvar / 2).exp() * torch.randn(posterior.mean.shape, generator=stream)


def caption(seed: int, use: Use, candidates: Sequence[str]) -> str:
    """One of the sample's captions."""
    index = torch.randint(len(candidates), (), generator=draw(seed, use, "caption"))
    return candidates[int(index)]


def drops_caption(seed: int, use: Use, probability: float) -> bool:
    """Whether this use trains without its caption."""
    return bool(torch.rand((), generator=draw(seed, use, "dropout")) < probability)
