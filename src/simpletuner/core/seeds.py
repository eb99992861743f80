"""torch generators keyed by what they are for, never by when they are asked."""

from __future__ import annotations

import torch

from simpletuner.core.keyed import derive_seed


def generator(*parts: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose stream depends on ``parts`` and the kind of ``device``: not on rank, slicing or a resume."""
    return torch.Generator(device).manual_seed(derive_seed(*parts))
