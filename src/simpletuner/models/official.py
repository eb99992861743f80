"""What a family's official package calls things, where it differs from diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Whole:
    """A layer of the official package and the ``parts`` that diffusers has of it: path and rows, from the top."""

    path: str
    parts: tuple[tuple[str, int], ...]


class OfficialLayout(Protocol):
    """The files and names of the official package."""

    def wholes(self, config: Mapping[str, Any]) -> tuple[Whole, ...]:
        """Every adaptable layer, from the keys of the transformer's ``config.json``."""
        ...

    def save(self, denoiser: nn.Module, folder: Path, dtype: torch.dtype) -> None:
        """Write weights and configuration into ``folder`` as the official package loads them."""
        ...

    def load(self, folder: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
        """The weights that :meth:`save` wrote, under diffusers' names."""
        ...
