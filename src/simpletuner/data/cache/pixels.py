"""Pictures as tensors."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_tensor(image: Image.Image) -> Tensor:
    """(3, H, W) float32 in [-1, 1] of an RGB picture: 0 becomes -1, 255 becomes 1.

    NumPy does the arithmetic: in a thread of a reader, each torch operation would start threads of its own.
    """
    planes = np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))
    values = np.divide(planes, np.float32(127.5), dtype=np.float32)
    values -= np.float32(1.0)
    return torch.from_numpy(values)
