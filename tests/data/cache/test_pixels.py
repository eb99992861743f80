from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from simpletuner.data.cache.pixels import to_tensor


def test_channels_come_first_in_minus_one_to_one(pictures: Any) -> None:
    image = pictures.gradient(6, 4)
    pixels = to_tensor(image)
    assert (pixels.shape, pixels.dtype) == ((3, 4, 6), torch.float32)
    assert pixels.is_contiguous()
    assert torch.allclose(pixels[0, 0], torch.linspace(-1, 1, 6))
    back = ((pixels + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(back, np.asarray(image))


def test_every_value_is_rounded_as_torch_rounds_it() -> None:
    """Latents on users' disks were made of these to the bit."""
    values = torch.arange(256, dtype=torch.uint8)
    image = Image.fromarray(values.numpy().reshape(16, 16)).convert("RGB")
    expected = values.to(torch.float32).div(127.5).sub(1.0).reshape(1, 16, 16).expand(3, 16, 16)
    assert torch.equal(to_tensor(image), expected)


def test_the_picture_may_change_afterwards(pictures: Any) -> None:
    image = pictures.gradient(4, 4)
    pixels = to_tensor(image)
    before = pixels.clone()
    image.paste((0, 0, 0), (0, 0, 4, 4))
    assert torch.equal(pixels, before)
