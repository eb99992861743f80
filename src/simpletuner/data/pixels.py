"""Pictures as tensors."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_tensor(image: Image.Image) -> Tensor:
    """(3, H, W) float32 in [-1, 1] of an RGB picture: 0 becomes -1, 255 becomes 1."""
    values = torch.from_numpy(np.array(image, dtype=np.uint8))
    return values.permute(2, 0, 1).to(torch.float32).div_(127.5).sub_(1.0)
