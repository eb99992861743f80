"""The judge of style: is a picture of 64 px a flat drawing or 3D?"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import pad

from .vae_data import as_signal

WEIGHTS = Path(__file__).with_name("style.safetensors")
CHANNELS = 16
_DISTANCES = (1, 2)
_FAINTEST = 3e-3
_CHUNK = 128


class Shading(nn.Module):
    """Adds to a picture how steep it is at every pixel, on a logarithmic scale.

    A flat drawing is level or jumps, a 3D one rises gently: the gentle slopes are too faint for a small network to
    notice on a linear scale (92 % instead of 99 % after the same three minutes).
    """

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in -1..1 to (B, 3 + 2, H, W)."""
        return torch.cat((pictures, *(_steepness(pictures, distance) for distance in _DISTANCES)), dim=1)


def _steepness(pictures: Tensor, distance: int) -> Tensor:
    right = pad(pictures[..., distance:] - pictures[..., :-distance], (0, distance))
    down = pad(pictures[..., distance:, :] - pictures[..., :-distance, :], (0, 0, 0, distance))
    length = (right.square() + down.square()).sum(dim=1, keepdim=True).sqrt()
    return (length + _FAINTEST).log10() + 1.0


def new_judge() -> nn.Sequential:
    """Four small convolutions and the mean over the picture, which leaves no place for a subject."""
    wide, wider = 2 * CHANNELS, 4 * CHANNELS
    return nn.Sequential(
        Shading(),
        nn.Conv2d(3 + len(_DISTANCES), CHANNELS, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(CHANNELS, wide, 3, stride=2, padding=1),
        nn.GroupNorm(4, wide),
        nn.GELU(),
        nn.Conv2d(wide, wider, 3, stride=2, padding=1),
        nn.GroupNorm(8, wider),
        nn.GELU(),
        nn.Conv2d(wider, wider, 3, padding=1),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(wider, 1),
    ).to(memory_format=torch.channels_last)


@torch.no_grad()
def is_flat(judge: nn.Module, pictures: Tensor) -> Tensor:
    """Whether each of the uint8 pictures (N, 3, 64, 64) is a flat drawing: (N,) bool."""
    return torch.cat([judge(as_signal(part))[:, 0] > 0 for part in pictures.split(_CHUNK)])


def load_judge() -> nn.Module:
    """The stored judge."""
    judge = new_judge().requires_grad_(requires_grad=False).eval()
    judge.load_state_dict({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()})
    return judge


def stored_accuracy() -> float:
    """What the stored judge reached on real pictures of subjects that it never saw."""
    with safe_open(WEIGHTS, framework="pt") as stored:
        return float(json.loads(stored.metadata()["measured"])["accuracy"])
