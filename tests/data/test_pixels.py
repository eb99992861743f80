from __future__ import annotations

from typing import Any

import numpy as np
import torch

from simpletuner.data.pixels import to_tensor


def test_channels_come_first_in_minus_one_to_one(pictures: Any) -> None:
    image = pictures.gradient(6, 4)
    pixels = to_tensor(image)
    assert (pixels.shape, pixels.dtype) == ((3, 4, 6), torch.float32)
    assert torch.allclose(pixels[0, 0], torch.linspace(-1, 1, 6))
    back = ((pixels + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(back, np.asarray(image))
