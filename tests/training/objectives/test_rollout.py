"""Roll-outs: how often, how long, and that they are what the sampler itself draws."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simpletuner.core.batch import Batch, Prompt, Sizes
from simpletuner.core.samples import SampleId, Use
from simpletuner.diffusion.flow import mix
from simpletuner.diffusion.sampler import euler, follow
from simpletuner.training.objectives.reflexflow import ReflexFlow
from simpletuner.training.objectives.rollout import Ramp, Rollout, roll_out, shares

ALWAYS = Ramp(1.0, 1.0)


def batch(sigma: Sequence[float], lengths: tuple[int, ...], sizes: Sizes | None = None) -> Batch:
    draws, rows = torch.Generator().manual_seed(5), len(sigma)
    return Batch(
        uses=tuple(Use(SampleId("d", str(row)), 0) for row in range(rows)),
        latents=torch.randn(rows, 4, 4, 4, generator=draws),
        noise=torch.randn(rows, 4, 4, 4, generator=draws),
        sigma=torch.tensor(sigma),
        prompts=tuple(Prompt(torch.tensor([row, 7])) for row in range(rows)),
        sizes=sizes,
        lengths=lengths,
    )


class Model:
    """A velocity that depends on everything it is told, row by row; counts its passes and their rows."""

    def __init__(self) -> None:
        self.passes: list[int] = []

    def __call__(self, noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None) -> Tensor:
        assert not torch.is_grad_enabled()
        assert len(noisy) == len(sigma) == len(prompts)
        assert sizes is None or len(sizes) == len(noisy)
        self.passes.append(len(noisy))
        own = torch.tensor([float(prompt.ids[0]) for prompt in prompts])
        return noisy.sin() * (1 + own + sigma)[:, None, None, None]

    def alone(self, row: int) -> Model:
        """The same for one row, as the sampler asks."""
        return _Alone(row)


class _Alone(Model):
    def __init__(self, row: int) -> None:
        super().__init__()
        self._row = row

    def __call__(self, noisy: Tensor, sigma: Tensor, *_: object) -> Tensor:
        return noisy.sin() * (1 + self._row + sigma)[:, None, None, None]


def test_from_noise_it_is_the_samplers_own_euler_to_the_bit() -> None:
    """Four steps of the sampler, of which a roll-out towards 0 takes all and one towards a half the first two."""
    given = batch([0.0, 0.5], (4, 2))
    drawn = roll_out(Model(), given, Rollout(4, ALWAYS, timesteps=4)).noisy
    assert torch.equal(drawn[:1], euler(given.noise[:1], Model().alone(0), 4))
    half = follow(given.noise[1:], Model().alone(1), torch.tensor([1.0, 0.75, 0.5]))
    assert torch.equal(drawn[1:], half)


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(0, 6)), min_size=1, max_size=5))
def test_each_row_is_the_samplers_own_path_over_its_own_grid(rows: list[tuple[float, int]]) -> None:
    sigma, lengths = [row[0] for row in rows], tuple(row[1] for row in rows)
    given, model, rollout = batch(sigma, lengths), Model(), Rollout(6, ALWAYS, timesteps=20)
    rolled = roll_out(model, given, rollout)
    for row, length in enumerate(lengths):
        own = given.sigma[row]
        grid = torch.stack([shares(own, steps, 20) for steps in range(length, -1, -1)])
        start = mix(given.latents[row : row + 1], given.noise[row : row + 1], grid[:1])
        assert torch.equal(rolled.noisy[row : row + 1], follow(start, model.alone(row), grid))
    assert model.passes == [sum(length >= left for length in lengths) for left in range(max(lengths), 0, -1)]
    assert rolled.rows.tolist() == [row for row, length in enumerate(lengths) if length]
    assert rolled.flags.tolist() == [float(length > 0) for length in lengths]


def test_a_row_of_no_length_is_the_straight_mixture_to_the_bit() -> None:
    given = batch([0.2, 0.6], (0, 3))
    rolled = roll_out(Model(), given, Rollout(3, ALWAYS, timesteps=10)).noisy
    straight = mix(given.latents, given.noise, given.sigma)
    assert torch.equal(rolled[0], straight[0])
    assert not torch.equal(rolled[1], straight[1])


def test_reflexflows_question_rides_with_the_last_pass() -> None:
    given, model = batch([0.2, 0.6, 0.5], (1, 0, 3), sizes=((4, 4), (2, 4), (4, 2))), Model()
    rollout = Rollout(3, ALWAYS, timesteps=10, reflex=ReflexFlow())
    rolled = roll_out(model, given, rollout)
    assert model.passes == [1, 1, 4], "as many passes as the longest roll-out has steps"
    assert rolled.straight is not None
    straight = mix(given.latents, given.noise, given.sigma)
    for place, row in enumerate((0, 2)):
        own = model.alone(row)(straight[row : row + 1], given.sigma[row : row + 1])
        assert torch.equal(rolled.straight[place : place + 1], own)
    plain = Rollout(3, ALWAYS, timesteps=10, reflex=ReflexFlow(alpha=0))
    without = Model()
    assert roll_out(without, given, plain).straight is None
    assert without.passes == [1, 1, 2]


def test_in_lockstep_every_micro_batch_makes_the_same_passes_and_gets_the_same_rows() -> None:
    rollout = Rollout(4, ALWAYS, timesteps=10, reflex=ReflexFlow(), lockstep=True)
    for lengths in ((0, 0), (1, 0), (2, 3)):
        given, model = batch([0.2, 0.6], lengths), Model()
        rolled = roll_out(model, given, rollout)
        assert len(model.passes) == 4
        free = roll_out(Model(), given, Rollout(4, ALWAYS, timesteps=10, reflex=ReflexFlow()))
        assert torch.equal(rolled.noisy, free.noisy)
        assert (rolled.straight is None) == (free.straight is None) == (not any(lengths))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", [0.1, 0.1, 0.1, 0.3, 0.5, 0.7, 0.9, 0.9]),
        ("cosine", [0.1, 0.1, 0.1, 0.217157, 0.5, 0.782843, 0.9, 0.9]),
    ],
)
def test_a_ramp_waits_rises_and_stays(shape: str, expected: list[float]) -> None:
    """Two updates before it, four on it: update 3 begins it, update 7 is the first at its end."""
    ramp = Ramp(0.1, 0.9, first=2, steps=4, shape=shape)
    assert [ramp.at(step) for step in range(1, 9)] == pytest.approx(expected, abs=1e-6)


def test_without_a_ramp_the_chance_is_constant_and_zero_means_zero() -> None:
    assert [Ramp(0.3, 0.3).at(step) for step in (1, 2, 1000)] == [0.3] * 3
    assert Ramp(0.0, 0.5, steps=10).at(1) == 0
    assert Ramp(0.5, 0.0, steps=10).at(11) == 0


@pytest.mark.parametrize(
    ("strategy", "formula"),
    [
        ("uniform", lambda u, m: math.floor(u * (m + 1))),
        ("biased_early", lambda u, m: math.floor(u * u * m + 0.5)),
        ("biased_late", lambda u, m: math.floor((1 - u * u) * m + 0.5)),
    ],
)
def test_lengths_follow_their_strategy(strategy: str, formula: object) -> None:
    assert callable(formula)
    rollout = Rollout(6, ALWAYS, strategy)
    numbers = [number / 1000 for number in range(1000)]
    lengths = [rollout.length(0.5, share, 1, 0.5) for share in numbers]
    assert lengths == [formula(share, 6) for share in numbers]
    assert set(lengths) == set(range(7))


def test_the_chance_decides_and_noise_is_the_end() -> None:
    rollout = Rollout(5, Ramp(0.25, 0.25), timesteps=10)
    assert rollout.length(0.25, 0.99, 1, 0.1) == 0
    assert rollout.length(0.24, 0.99, 1, 0.1) == 5
    assert [rollout.length(0.0, 0.99, 1, sigma) for sigma in (1.0, 0.95, 0.9, 0.85, 0.8)] == [0, 1, 1, 2, 2]
    assert shares(torch.tensor([0.85]), 2, 10).item() == 1
