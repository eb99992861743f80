from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from simpletuner.core.batch import Prompt
from simpletuner.data.places.geometry import Size
from simpletuner.models.family import MemorySaving
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.probes.buckets import Measured, Subject, compared, cut, measure, sizes
from simpletuner.validation.render import Studio

CPU = torch.device("cpu")


@given(st.integers(32, 1536))
def test_every_shape_has_about_the_same_area(edge: int) -> None:
    found = sizes(edge, 16)
    assert len(set(found)) == len(found)
    assert found[0].width == found[0].height
    for size in found:
        assert size.width % 16 == size.height % 16 == 0
        assert abs(size.width - edge * (size.width / size.height) ** 0.5) <= 32


def test_a_picture_is_cut_in_the_middle() -> None:
    image = Image.new("RGB", (90, 30), "red")
    image.paste("blue", (30, 0, 60, 30))
    found = cut(image, Size(32, 32))
    assert found.size == (32, 32)
    assert found.getpixel((16, 16)) == (0, 0, 255)


def test_a_model_that_predicts_nothing_has_the_loss_of_its_target_and_the_same_noise_each_time() -> None:
    family = OmniGen()

    def silent(noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        assert len(noisy) == len(sigma) == len(prompts)
        return torch.zeros_like(noisy)

    codec = family.load_codec(TINY_FOLDER, CPU, torch.float32, MemorySaving())
    studio = Studio(family, silent, codec, family.load_text(TINY_FOLDER, builtin_negative=False), CPU)
    subjects = [Subject(name, name, cut(Image.new("RGB", (64, 64), name), Size(64, 48))) for name in ("red", "blue")]
    found = measure(studio, subjects, Size(64, 48))
    assert found == measure(studio, subjects, Size(64, 48))
    (shape,) = compared([(Size(64, 48), found)])
    assert len(found.losses) == 2
    # Noise has variance 1; a latent's own mean counts in the loss and not in the variance.
    assert all(loss >= variance * 0.9 > 0.8 for loss, variance in zip(found.losses, found.variances, strict=True))
    assert shape.explained == pytest.approx(1 - sum(found.losses) / sum(found.variances))


def test_shapes_are_compared_picture_by_picture() -> None:
    square = Measured((0.5, 1.0), (2.0, 2.0))
    wide = Measured((0.6, 1.2), (2.0, 2.0))
    first, second = compared([(Size(64, 64), square), (Size(80, 48), wide)])
    assert (first.above_square.value, first.above_square.error) == (0.0, 0.0)
    assert second.above_square.value == pytest.approx(0.15)
    assert second.above_square.error == pytest.approx(0.05)
    assert second.explained == pytest.approx(1 - 1.8 / 4)
