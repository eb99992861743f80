"""Pictures for the VAE: everything in memory as bytes, and small random changes to a batch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from .files import FLAT, HELD_OUT_3D, TRAIN_3D

SIZE = 64
_WHITE = 255
_MAX_SHIFT = 3
_CHANNEL_SWAP_SHARE = 0.2


def load_pictures(paths: Iterable[Path]) -> Tensor:
    """Load pictures at `SIZE` as one uint8 tensor (N, 3, 64, 64)."""
    return torch.stack([load_picture(path) for path in paths])


def load_picture(path: Path) -> Tensor:
    """Load one picture at `SIZE` as uint8 (3, 64, 64)."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)


def training_paths() -> list[Path]:
    """List 3D and flat pictures, less the flat drawings of held-out subjects."""
    held_out = {path.name for path in held_out_paths()}
    flat = [path for path in sorted(FLAT.glob("*.png")) if path.name not in held_out]
    return sorted(TRAIN_3D.glob("*.png")) + flat


def held_out_paths() -> list[Path]:
    """List the 3D pictures that no training step sees."""
    return sorted(HELD_OUT_3D.glob("*.png"))


def as_signal(pictures: Tensor) -> Tensor:
    """Turn bytes into the network's range -1..1, channels last in memory."""
    return (pictures.float() / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)


def draw_batch(pictures: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` pictures with replacement, changed at random; returns -1..1 (count, 3, 64, 64)."""
    chosen = torch.randint(len(pictures), (count,), generator=generator)
    return as_signal(swap_channels(flip(shift(pictures[chosen], generator), generator), generator))


def shift(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Move each picture by up to three pixels; what comes in from outside is white."""
    framed = pad(batch, (_MAX_SHIFT,) * 4, value=_WHITE)
    corners = torch.randint(2 * _MAX_SHIFT + 1, (len(batch), 2), generator=generator).tolist()
    moved = [framed[i, :, top : top + SIZE, left : left + SIZE] for i, (top, left) in enumerate(corners)]
    return torch.stack(moved)


def flip(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror half of the pictures left to right."""
    mirrored = torch.rand(len(batch), generator=generator) < 0.5
    return torch.where(mirrored[:, None, None, None], batch.flip(-1), batch)


def swap_channels(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Permute the colour channels of a few pictures, so that rare colours are learnt as well."""
    chosen = torch.rand(len(batch), generator=generator) < _CHANNEL_SWAP_SHARE
    order = torch.randperm(3, generator=generator)
    return torch.where(chosen[:, None, None, None], batch[:, order], batch)
