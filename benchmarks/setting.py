"""What every measurement is told."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """How much is measured. ``work`` is a folder for generated files; ``sizes`` are numbers of tiny pictures, ``rows``
    those of the synthetic index, ``photos`` and ``encoded`` those of large pictures; ``rounds`` are repetitions.
    """

    work: Path
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    rows: int = 1_000_000
    photos: int = 10_000
    encoded: int = 64
    rounds: int = 5
    keep: bool = False

    def tidy(self, folder: Path) -> None:
        """Remove what a measurement generated."""
        if not self.keep:
            shutil.rmtree(folder)
