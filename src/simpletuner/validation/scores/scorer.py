"""What is asked about pictures that were just drawn, before they are saved. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture as it was drawn, not stitched, and the file of the base model's, where there is a benchmark."""

    nickname: str
    prompt: str
    image: Image.Image
    base: Path | None = None


@dataclass(frozen=True)
class PictureScore:
    """What was found of one picture; ``score`` None where nothing was."""

    score: float | None = None

    @property
    def facts(self) -> dict[str, str]:
        """What is written inside the picture."""
        return {} if self.score is None else {"clip_score": f"{self.score:.4f}"}


class PictureScorer:
    """Scores nothing; what does is a subclass."""

    def score(self, step: int, seen: Sequence[Seen]) -> Sequence[PictureScore]:
        """One verdict a picture, of those drawn after update ``step``."""
        del step
        return [PictureScore()] * len(seen)
