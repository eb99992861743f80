"""Input pictures in the sequence: where their tokens stand, whom they touch, and what they cost the others."""

from __future__ import annotations

import pytest
import torch
from diffusers import OmniGenTransformer2DModel
from torch import Tensor

from simpletuner.core.batch import Prompt
from simpletuner.models.execution import Execution
from simpletuner.models.omnigen.embed import embed, image_tokens
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.prompt import collate
from tests.models.omnigen.tiny_model import random_omnigen

CPU = torch.device("cpu")
LATENTS = torch.randn(4, 4, 6, generator=torch.Generator().manual_seed(5))
WITH_PICTURE = Prompt(torch.tensor([1, 40, -1, 41, 42]), (LATENTS,))
WORDS = Prompt(torch.tensor([1, 50, 51]))


def hidden(model: OmniGenTransformer2DModel, prompts: list[Prompt]) -> Tensor:
    image, _ = image_tokens(model, torch.zeros(len(prompts), 4, 4, 4), None)
    return embed(model, image, torch.full((len(prompts),), 0.5), collate(prompts, CPU))[0]


def test_tokens_of_a_picture_stand_where_its_tag_stood_and_words_around_them() -> None:
    model = random_omnigen()
    with torch.no_grad():
        states = hidden(model, [WORDS, WITH_PICTURE])
        expected = model.patch_embedding(LATENTS[None], is_input_image=True)[0]
        words = model.embed_tokens(torch.tensor([1, 40, 41, 42]))
    assert torch.equal(states[1, 2:8], expected)
    assert torch.equal(states[1, [0, 1, 8, 9]], words)
    assert torch.equal(states[0, 7:10], model.embed_tokens(WORDS.ids))


def velocity(model: OmniGenTransformer2DModel, prompts: list[Prompt], rows: list[int]) -> Tensor:
    noisy = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2))[rows]
    return OmniGen().predict_velocity(model, noisy, torch.tensor([0.2, 0.5, 0.8])[rows], [prompts[row] for row in rows])


def test_a_row_with_pictures_and_its_neighbours_are_what_each_is_alone() -> None:
    model, prompts = random_omnigen(std=0.2), [WORDS, WITH_PICTURE, Prompt(torch.tensor([1, 60, 61, 62]))]
    with torch.no_grad():
        together = velocity(model, prompts, [0, 1, 2])
        for row in range(3):
            alone = velocity(model, prompts, [row])[0]
            assert (together[row] - alone).abs().max() < 1e-5 * alone.abs().max()
        without = velocity(model, [WORDS, Prompt(torch.tensor([1, 40, 41, 42])), prompts[2]], [1])
    assert (together[1] - without[0]).abs().max() > 1e-2 * without.abs().max(), "the picture is seen"


@pytest.mark.parametrize("recompute", [False, True])
def test_the_gradient_reaches_the_projection_of_input_pictures(*, recompute: bool) -> None:
    model = random_omnigen(std=0.2, pad_token_id=3)
    OmniGen().configure(model, Execution(recompute=recompute))
    velocity(model, [WORDS, WITH_PICTURE, WORDS], [0, 2]).sum().backward()
    assert model.patch_embedding.input_image_proj.weight.grad is None
    velocity(model, [WORDS, WITH_PICTURE, WORDS], [0, 1]).sum().backward()
    assert model.patch_embedding.input_image_proj.weight.grad.abs().max() > 0
    placeholder = model.embed_tokens.weight.grad[0]
    assert placeholder.count_nonzero() == 0, "what stands below a picture is never read"


def test_pictures_take_the_models_number_format() -> None:
    model = random_omnigen().to(torch.bfloat16)
    with torch.no_grad():
        assert velocity(model, [WORDS, WITH_PICTURE, WORDS], [0, 1]).isfinite().all()
