"""One prompt to one picture: guidance, the empty prompt, pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from simpletuner.core.batch import Prompt
from simpletuner.data.cache.pixels import to_tensor
from simpletuner.models.family import MemorySaving
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.render import Sampling, Studio, render, starting_noise, to_picture

CPU = torch.device("cpu")
FAMILY = OmniGen()


class Seen:
    """Records what the model is asked."""

    def __init__(self) -> None:
        self.rows: list[list[list[int]]] = []
        self.pictures: list[list[tuple[Tensor, ...]]] = []

    def predict(self, noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        assert len(noisy) == len(sigma) == len(prompts)
        self.rows.append([prompt.ids.tolist() for prompt in prompts])
        self.pictures.append([prompt.pictures for prompt in prompts])
        return torch.zeros_like(noisy)


def studio(seen: Seen) -> Studio:
    text = FAMILY.load_text(TINY_FOLDER, builtin_negative=False)
    return Studio(FAMILY, seen.predict, FAMILY.load_codec(TINY_FOLDER, CPU, torch.float32, MemorySaving()), text, CPU)


def test_guidance_asks_for_the_prompt_and_what_to_avoid_in_one_batch() -> None:
    seen = Seen()
    made = studio(seen)
    image = render(made, "red apple", (64, 128), Sampling(3, 2.5, 1), lambda step: None)
    assert image.size == (64, 128)
    assert seen.rows == [[made.text.tokenize("red apple").tolist(), made.text.unconditional().tolist()]] * 3


def test_without_guidance_one_row_is_enough_and_no_prompt_is_the_trained_unconditional() -> None:
    seen = Seen()
    made = studio(seen)
    render(made, "", (64, 64), Sampling(1, 1.0, 1), lambda step: None)
    assert seen.rows == [[made.text.unconditional().tolist()]]


def test_the_users_negative_prompt_is_what_is_avoided() -> None:
    seen = Seen()
    made = studio(seen)
    render(made, "cat", (64, 64), Sampling(1, 2.0, 1, negative="blurry"), lambda step: None)
    assert seen.rows[0][1] == made.text.tokenize("blurry").tolist()


def test_input_pictures_stand_in_the_prompt_and_alone_and_not_in_what_is_avoided() -> None:
    seen = Seen()
    made = studio(seen)
    given = [Image.new("RGB", (64, 32), colour) for colour in ("navy", "orange")]
    render(made, "like these", (64, 64), Sampling(2, 2.5, 1), lambda step: None, given)
    text = made.text
    asked = [text.tokenize("like these", 2), text.unconditional(), text.pictures_alone(2)]
    assert seen.rows == [[ids.tolist() for ids in asked]] * 2
    whole, avoided, alone = seen.pictures[0]
    assert avoided == ()
    for one, other, picture in zip(whole, alone, given, strict=True):
        expected = made.codec.encode(to_tensor(picture)[None]).mean[0]
        assert torch.equal(one, expected)
        assert torch.equal(other, expected)


def test_input_pictures_without_words_or_guidance_are_one_row() -> None:
    seen = Seen()
    made = studio(seen)
    how = Sampling(1, 1.0, 1, picture_guidance=1.0)
    render(made, "", (64, 64), how, lambda step: None, [Image.new("RGB", (32, 32))])
    assert seen.rows == [[made.text.pictures_alone(1).tolist()]]


def test_the_guided_velocity_is_the_references() -> None:
    class Levels(Seen):
        def predict(self, noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt]) -> Tensor:
            return torch.tensor([3.0, 1.0, 2.0])[:, None, None, None].expand(noisy.shape)

    made, how = studio(Levels()), Sampling(1, 2.5, 1, picture_guidance=1.6)
    drawn: list[Tensor] = []
    codec = made.codec
    decode = codec.decode
    codec.decode = lambda latents: drawn.append(latents) or decode(latents)  # type: ignore[method-assign]
    render(made, "x", (64, 64), how, lambda step: None, [Image.new("RGB", (32, 32))])
    expected = starting_noise(FAMILY, 64, 64, 1) - (1.0 + 1.6 * (2.0 - 1.0) + 2.5 * (3.0 - 2.0))
    assert torch.allclose(drawn[0], expected, atol=1e-5)


def test_noise_has_the_pictures_shape_and_depends_on_the_seed() -> None:
    assert starting_noise(FAMILY, 64, 128, 1).shape == (1, 4, 16, 8)
    assert torch.equal(starting_noise(FAMILY, 64, 64, 1), starting_noise(FAMILY, 64, 64, 1))
    assert not torch.equal(starting_noise(FAMILY, 64, 64, 1), starting_noise(FAMILY, 64, 64, 2))
    # What torch takes as it is stays so; it refuses the others.
    for seed in (-1, -(1 << 63), (1 << 64) - 1):
        torchs = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(seed))
        assert torch.equal(starting_noise(FAMILY, 64, 64, seed), torchs)
    assert torch.equal(starting_noise(FAMILY, 64, 64, (1 << 64) + 7), starting_noise(FAMILY, 64, 64, 7))
    assert starting_noise(FAMILY, 64, 64, -(1 << 63) - 1).isfinite().all()


def test_pixels_become_levels() -> None:
    pixels = torch.tensor([-1.0, 0.0, 1.0])[:, None, None].expand(3, 2, 5)
    image = to_picture(pixels)
    assert image.size == (5, 2)
    assert image.getpixel((0, 0)) == (0, 128, 255)
