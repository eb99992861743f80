"""Our forward pass against diffusers' where diffusers is right, and against itself where it is wrong."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import OmniGenTransformer2DModel
from diffusers.pipelines.omnigen.processor_omnigen import OmniGenCollator
from torch import Tensor

from simpletuner.core.batch import Batch, Prompt, Sizes
from simpletuner.core.samples import SampleId, Use
from simpletuner.models.execution import Execution
from simpletuner.models.omnigen.attention import key_mask
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.forward import forward
from simpletuner.models.omnigen.prompt import collate
from simpletuner.training.step import row_losses
from tests.models.omnigen.tiny_model import random_omnigen

CPU = torch.device("cpu")


def prompt(length: int, seed: int = 0) -> Prompt:
    draws = torch.Generator().manual_seed(1000 * seed + length)
    return Prompt(torch.randint(3, 2000, (length,), generator=draws))


def reference(model: OmniGenTransformer2DModel, latents: Tensor, clock: Tensor, prompts: list[Prompt]) -> Tensor:
    height, width = (edge * 8 for edge in latents.shape[-2:])
    inputs = [{"input_ids": prompt.ids.tolist(), "pixel_values": None, "image_sizes": None} for prompt in prompts]
    ids, positions, mask, _, _, sizes = OmniGenCollator().process_mllm_input(inputs, [[height, width]] * len(prompts))
    return model(latents, clock, ids, [], sizes, mask, positions).sample


@pytest.mark.parametrize("key_value_heads", [4])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 12)])
def test_equals_diffusers_when_rows_have_one_length(key_value_heads: int, height: int, width: int) -> None:
    model = random_omnigen(num_key_value_heads=key_value_heads)
    latents, clock = torch.randn(3, 4, height, width), torch.tensor([0.1, 0.5, 0.9])
    prompts = [prompt(9, seed) for seed in range(3)]
    with torch.no_grad():
        ours = forward(model, latents, clock, collate(prompts, CPU))
        theirs = reference(model, latents, clock, prompts)
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


def test_each_row_of_a_ragged_batch_equals_diffusers_on_that_row_alone() -> None:
    model = random_omnigen(std=0.25)
    latents, clock = torch.randn(2, 4, 8, 8), torch.tensor([0.3, 0.7])
    prompts = [prompt(5), prompt(21)]
    with torch.no_grad():
        ours = forward(model, latents, clock, collate(prompts, CPU))
        alone = torch.cat([reference(model, latents[i : i + 1], clock[i : i + 1], [prompts[i]]) for i in (0, 1)])
        together = reference(model, latents, clock, prompts)
    assert (ours - alone).abs().max() < 1e-5 * alone.abs().max()
    assert (together - alone).abs().max() > 1e-3, "diffusers takes row 0's positions for every row"


def batch_of(rows: list[int], lengths: list[int]) -> Batch:
    draws = torch.Generator().manual_seed(7)
    latents, noise = torch.randn(2, 4, 8, 8, generator=draws), torch.randn(2, 4, 8, 8, generator=draws)
    return Batch(
        uses=tuple(Use(SampleId("d", str(row)), 0) for row in rows),
        latents=latents[rows],
        noise=noise[rows],
        sigma=torch.tensor([0.35, 0.8])[rows],
        prompts=tuple(prompt(lengths[row]) for row in rows),
    )


def losses_and_gradient(model: OmniGenTransformer2DModel, batch: Batch, row: int) -> tuple[Tensor, Tensor]:
    family = OmniGen()
    model.zero_grad()
    losses = row_losses(lambda *seen: family.predict_velocity(model, *seen), batch, CPU)
    losses[row].backward()
    return losses.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_two_captions_of_different_length_cost_what_each_costs_alone_forward_and_backward() -> None:
    model, lengths = random_omnigen(), [6, 19]
    for row in (0, 1):
        together, gradient = losses_and_gradient(model, batch_of([0, 1], lengths), row)
        alone, gradient_alone = losses_and_gradient(model, batch_of([row], lengths), 0)
        assert abs(together[row] - alone[0]) < 1e-5
        assert (gradient - gradient_alone).abs().max() < 1e-5 * gradient_alone.abs().max()


def test_at_1344x768_a_short_row_is_unchanged_by_a_long_neighbour() -> None:
    """4032 image tokens: a row of 40 text tokens stays below 4096 positions, one of 100 passes them."""
    model = random_omnigen(num_layers=1, hidden_size=32, num_attention_heads=2, num_key_value_heads=2)
    latents, clock = torch.randn(2, 4, 96, 168), torch.tensor([0.4, 0.4])
    short, long = prompt(40), prompt(100)
    with torch.no_grad():
        alone = forward(model, latents[:1], clock[:1], collate([short], CPU))
        together = forward(model, latents, clock, collate([short, long], CPU))
        long_alone = forward(model, latents[1:], clock[1:], collate([long], CPU))
        long_theirs = reference(model, latents[1:], clock[1:], [long])
    assert (together[:1] - alone).abs().max() < 1e-5 * alone.abs().max()
    assert (together[1:] - long_alone).abs().max() < 1e-5 * alone.abs().max()
    assert (long_alone - long_theirs).abs().max() < 1e-4 * long_theirs.abs().max()


SIZES: Sizes = ((8, 8), (6, 12), (4, 4), (12, 6))


def mixed_batch(sizes: Sizes, lengths: list[int], filling: float = 0.0) -> Batch:
    """Rows of ``sizes``, each with its own draws; ``filling`` is what the padding holds."""
    height, width = (max(edges) for edges in zip(*sizes, strict=True))
    latents, noise = torch.full((2, len(sizes), 4, height, width), filling)
    for row, (h, w) in enumerate(sizes):
        draws = torch.Generator().manual_seed(row)
        latents[row, :, :h, :w], noise[row, :, :h, :w] = torch.randn(2, 4, h, w, generator=draws)
    return Batch(
        uses=tuple(Use(SampleId("d", str(row)), 0) for row in range(len(sizes))),
        latents=latents,
        noise=noise,
        sigma=torch.linspace(0.1, 0.9, len(sizes)),
        prompts=tuple(prompt(length) for length in lengths),
        sizes=sizes,
    )


def alone(batch: Batch, row: int) -> Batch:
    assert batch.sizes is not None
    height, width = batch.sizes[row]
    return Batch(
        uses=batch.uses[row : row + 1],
        latents=batch.latents[row : row + 1, :, :height, :width],
        noise=batch.noise[row : row + 1, :, :height, :width],
        sigma=batch.sigma[row : row + 1],
        prompts=batch.prompts[row : row + 1],
    )


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("lengths", [[9, 9, 9, 9], [6, 19, 11, 19]])
def test_a_picture_among_others_of_other_sizes_costs_what_it_costs_alone(
    lengths: list[int], *, recompute: bool
) -> None:
    model, batch = random_omnigen(std=0.2), mixed_batch(SIZES, lengths)
    OmniGen().configure(model, Execution(recompute=recompute))
    for row in range(len(SIZES)):
        together, gradient = losses_and_gradient(model, batch, row)
        loss, gradient_alone = losses_and_gradient(model, alone(batch, row), 0)
        assert abs(together[row] - loss[0]) < 1e-5 * loss[0]
        assert (gradient - gradient_alone).abs().max() < 1e-5 * gradient_alone.abs().max()


def test_each_row_of_a_mixed_batch_equals_diffusers_on_that_picture_alone_and_its_padding_is_zero() -> None:
    model, batch = random_omnigen(std=0.2), mixed_batch(SIZES, [6, 19, 11, 19], filling=1e4)
    clock, texts = 1 - batch.sigma, collate(batch.prompts, CPU)
    with torch.no_grad():
        ours = forward(model, batch.noise, clock, texts, SIZES)
        for row, (h, w) in enumerate(SIZES):
            own = alone(batch, row)
            theirs = reference(model, own.noise, 1 - own.sigma, list(own.prompts))
            assert (ours[row, :, :h, :w] - theirs[0]).abs().max() < 1e-5 * theirs.abs().max()
            assert ours[row, :, h:].count_nonzero() == ours[row, :, :, w:].count_nonzero() == 0


@pytest.mark.parametrize("filling", [1e4, math.nan])
def test_what_the_padding_of_a_mixed_batch_holds_changes_nothing(filling: float) -> None:
    model, lengths = random_omnigen(), [6, 19, 11, 19]
    clean = losses_and_gradient(model, mixed_batch(SIZES, lengths), 1)
    filled = losses_and_gradient(model, mixed_batch(SIZES, lengths, filling), 1)
    assert torch.equal(clean[0], filled[0])
    assert torch.equal(clean[1], filled[1])


def test_sizes_that_every_row_fills_change_nothing_and_equal_areas_need_no_mask() -> None:
    model, texts = random_omnigen(), collate([prompt(9, 0), prompt(9, 1)], CPU)
    latents, clock = torch.randn(2, 4, 6, 12), torch.tensor([0.2, 0.6])
    with torch.no_grad():
        plain = forward(model, latents, clock, texts)
        assert (forward(model, latents, clock, texts, ((6, 12), (6, 12))) - plain).abs().max() < 1e-6
    assert key_mask(texts, (18, 18)) is None
    mask = key_mask(texts, (3, 1))
    assert mask is not None
    assert mask[:, 0, 0].tolist() == [[True] * 13, [True] * 11 + [False] * 2]


def test_a_picture_past_4096_positions_leaves_a_small_neighbour_on_the_short_factors() -> None:
    model = random_omnigen(num_layers=2, hidden_size=32, num_attention_heads=2, num_key_value_heads=2, std=0.2)
    batch = mixed_batch(((8, 10), (96, 172)), [12, 12])
    for row in (0, 1):
        together, gradient = losses_and_gradient(model, batch, row)
        loss, gradient_alone = losses_and_gradient(model, alone(batch, row), 0)
        assert abs(together[row] - loss[0]) < 1e-5 * loss[0]
        assert (gradient - gradient_alone).abs().max() < 1e-5 * gradient_alone.abs().max()


def test_recomputing_blocks_changes_no_gradient() -> None:
    model = random_omnigen()
    gradients = []
    for recompute in (False, True):
        OmniGen().configure(model, Execution(recompute=recompute))
        gradients.append(losses_and_gradient(model, batch_of([0, 1], [6, 19]), 0)[1])
    assert torch.equal(gradients[0], gradients[1])


def test_the_velocity_points_from_image_to_noise_and_the_clock_is_turned() -> None:
    model, noisy, sigma = random_omnigen(), torch.randn(1, 4, 8, 8), torch.tensor([0.25])
    with torch.no_grad():
        velocity = OmniGen().predict_velocity(model, noisy, sigma, [prompt(8)])
        raw = forward(model, noisy, torch.tensor([0.75]), collate([prompt(8)], CPU))
    assert torch.equal(velocity, -raw)
