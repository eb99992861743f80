"""torch generators keyed by what they are for, never by when they are asked."""

from __future__ import annotations

import torch

from simpletuner.core.keyed import derive_seed


def generator(*parts: object) -> torch.Generator:
    """A CPU generator whose stream depends on ``parts`` alone: not on rank, batch slicing or a resume."""
    return torch.Generator().manual_seed(derive_seed(*parts))
