"""A linear layer by name and shape: what the models know and the adapters count. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LinearShape:
    """One linear layer: its dotted path, the classes of the modules around it (outermost first) and its size."""

    path: str
    inside: tuple[str, ...]
    out_features: int
    in_features: int
