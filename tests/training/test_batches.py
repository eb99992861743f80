"""Micro-batches: every draw belongs to its use, padding to nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from simpletuner.core.batch import Batch, Latents
from simpletuner.core.samples import SampleId, Use
from simpletuner.diffusion.timesteps import Listed
from simpletuner.training import draws
from simpletuner.training.batches import BatchMaker
from simpletuner.training.objectives.objective import Objective, Timesteps
from simpletuner.training.objectives.perturbation import InputPerturbation
from simpletuner.training.objectives.rollout import Ramp, Rollout

EDGES = st.sampled_from([2, 4, 6, 8])


def use(name: str, visit: int = 0) -> Use:
    return Use(SampleId("d", name), visit)


def maker(
    sizes: Mapping[str, tuple[int, int]],
    masks: Mapping[str, Tensor] | None = None,
    dropout: float = 0.0,
    references: Sequence[Latents] = (),
) -> BatchMaker:
    """Pictures by name; a mean of 3 and hardly any variance, so that no drawn cell is 0."""
    return BatchMaker(
        seed=1,
        latents=lambda use: Latents(
            torch.full((4, *sizes[use.sample.path]), 3.0), torch.full((4, *sizes[use.sample.path]), -9.0)
        ),
        masks=lambda use: (masks or {}).get(use.sample.path),
        references=lambda use: references,
        captions=lambda use: (f"{use.sample.path}{use.visit}",),
        tokens=lambda caption, pictures: torch.tensor([1, *range(-pictures, 0), *map(ord, caption)]),
        unconditional=torch.tensor([1]),
        dropout=dropout,
    )


def ids(batch: Batch) -> list[list[int]]:
    return [prompt.ids.tolist() for prompt in batch.prompts]


def made(sizes: Sequence[tuple[int, int]], masks: Mapping[str, Tensor] | None = None) -> Batch:
    """A batch of pictures named 0, 1, 2 ..."""
    named = {str(row): size for row, size in enumerate(sizes)}
    return maker(named, masks).make([use(name) for name in named])


def test_rows_of_one_size_are_stacked_as_they_are_drawn() -> None:
    batch = made([(4, 6), (4, 6)])
    assert batch.sizes is None
    assert batch.mask is None
    posterior = Latents(torch.full((4, 4, 6), 3.0), torch.full((4, 4, 6), -9.0))
    assert torch.equal(batch.latents, torch.stack([draws.latents(1, use(name), posterior) for name in "01"]))
    assert torch.equal(batch.noise, torch.stack([draws.noise(1, use(name), (4, 4, 6)) for name in "01"]))
    assert torch.equal(batch.sigma, torch.stack([draws.sigma(1, use(name)) for name in "01"]))


@settings(max_examples=30)
@given(sizes=st.lists(st.tuples(EDGES, EDGES), min_size=1, max_size=4))
def test_a_row_is_what_it_is_alone_with_zeros_around(sizes: list[tuple[int, int]]) -> None:
    batch = made(sizes)
    height, width = (max(edges) for edges in zip(*sizes, strict=True))
    assert batch.sizes == (tuple(sizes) if len(set(sizes)) > 1 else None)
    for row, (h, w) in enumerate(sizes):
        own = maker({str(row): (h, w)}).make([use(str(row))])
        for padded, whole in ((batch.latents, own.latents), (batch.noise, own.noise)):
            assert padded.shape == (len(sizes), 4, height, width)
            assert torch.equal(padded[row, :, :h, :w], whole[0])
            assert padded[row].count_nonzero() == 4 * h * w
        assert batch.sigma[row] == own.sigma[0]


def test_a_picture_without_a_mask_counts_in_full_beside_one_that_has_one() -> None:
    mask = torch.tensor([[[0.0, 0.25], [0.5, 1.0]]])
    batch = made([(2, 2), (2, 4)], {"0": mask})
    assert batch.mask is not None
    assert batch.mask.tolist() == [[[[0, 0.25, 0, 0], [0.5, 1, 0, 0]]], [[[1, 1, 1, 1], [1, 1, 1, 1]]]]


def test_a_mask_of_another_size_than_its_picture_is_refused() -> None:
    with pytest.raises(RuntimeError, match="must match the existing size"):
        made([(2, 2), (4, 4)], {"1": torch.ones(1, 2, 2)})


def test_captions_belong_to_the_use_and_dropping_puts_the_unconditional_in_their_place() -> None:
    sizes = {"a": (2, 2)}
    assert ids(maker(sizes).make([use("a"), use("a", 7)])) == [[1, 97, 48], [1, 97, 55]]
    assert ids(maker(sizes, dropout=1.0).make([use("a")])) == [[1]]


def test_input_pictures_stand_in_the_prompt_and_are_drawn_for_the_use() -> None:
    posteriors = [Latents(torch.full((4, 2, 6), 1.0), torch.zeros(4, 2, 6)) for _ in range(2)]
    batch = maker({"a": (2, 2)}, references=posteriors).make([use("a"), use("a", 7)])
    assert ids(batch) == [[1, -2, -1, 97, 48], [1, -2, -1, 97, 55]]
    drawn = [picture for prompt in batch.prompts for picture in prompt.pictures]
    assert [tuple(picture.shape) for picture in drawn] == [(4, 2, 6)] * 4
    assert len({float(picture.sum()) for picture in drawn}) == 4
    for prompt, visit in zip(batch.prompts, (0, 7), strict=True):
        alone = draws.references(1, use("a", visit), posteriors)
        assert all(one.equal(other) for one, other in zip(prompt.pictures, alone, strict=True))


def test_dropping_a_caption_drops_its_input_pictures() -> None:
    made = maker({"a": (2, 2)}, dropout=1.0, references=[Latents(torch.zeros(4, 2, 2), torch.zeros(4, 2, 2))])
    (prompt,) = made.make([use("a")]).prompts
    assert (prompt.ids.tolist(), prompt.pictures) == ([1], ())


def test_the_objective_decides_sigma_roll_outs_and_extra_noise_and_nothing_else() -> None:
    sizes = {str(row): size for row, size in enumerate([(4, 4), (2, 6)])}
    uses = [use(name) for name in sizes]
    rollout = Rollout(3, Ramp(0.0, 1.0, first=4, steps=1), "biased_late")
    objective = Objective(
        timesteps=Timesteps(Listed((0.25,))),
        rollout=rollout,
        perturbation=InputPerturbation(0.5, steps=2),
    )
    plain, first, later = maker(sizes).make(uses), *(maker(sizes).make(uses, objective, step) for step in (1, 6))
    assert (plain.lengths, plain.extra_noise) == ((), None)
    assert first.sigma.tolist() == later.sigma.tolist() == [0.25, 0.25]
    assert first.lengths == (0, 0)
    assert later.lengths == tuple(draws.rollout_length(1, use, 6, 0.25, rollout) for use in uses)
    assert max(later.lengths) > 0
    assert later.extra_noise is None
    assert first.extra_noise is not None
    for row, (h, w) in enumerate(sizes.values()):
        assert torch.equal(first.extra_noise[row, :, :h, :w], draws.extra_noise(1, uses[row], (4, h, w), 0.5))
        assert first.extra_noise[row].count_nonzero() == 4 * h * w
    for made in (first, later):
        assert torch.equal(made.noise, plain.noise)
        assert torch.equal(made.latents, plain.latents)
