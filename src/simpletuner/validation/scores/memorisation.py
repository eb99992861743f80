"""Whether a model draws its training pictures again: how near each drawn picture is to the nearest of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from simpletuner.validation.scores.clip import Eyes
from simpletuner.validation.scores.scorer import Seen

_GRID = 16
_DIGITS = 4
# Measured on the tiny world (docs/clip-scores.md): training pictures after the VAE's round trip lie at 0.026 of the
# usual way, a run over-fitted to three pictures at 0.01 to 0.02, the nearest picture of the example's 24 at 0.11.
_SHARE = 0.05
# The usual way of a single picture cannot be known; 24 and 3 flat drawings had 0.58 and 0.41.
_TYPICAL = 0.5


class Thumbnails:
    """Pictures told apart without a CLIP: their colours on a grid of 16 x 16, less the mean of each channel."""

    def pictures(self, images: Iterable[Image.Image]) -> Tensor:
        """Unit vectors (N, 768) float32 of RGB pictures; the cosine of two is the correlation of their colours."""
        rows = [_thumbnail(image) for image in images]
        return torch.stack(rows) if rows else torch.empty(0, 3 * _GRID * _GRID)


@dataclass(frozen=True, eq=False)
class Trained:
    """Pictures that are trained on: their ``names`` and unit vectors ``features`` (N, d)."""

    names: tuple[str, ...]
    features: Tensor

    @classmethod
    def seen_by(cls, eyes: Eyes, named: Iterable[tuple[str, Image.Image]]) -> Trained:
        """Of pictures with their names, read one by one."""
        names: list[str] = []

        def images() -> Iterator[Image.Image]:
            for name, image in named:
                names.append(name)
                yield image

        features = eyes.pictures(images())
        return cls(tuple(names), features)

    def typical(self) -> float | None:
        """How alike a training picture and the nearest other one are, the median; None for a single picture."""
        if len(self.names) < 2:
            return None
        cosines = self.features @ self.features.T
        return float(cosines.fill_diagonal_(-1).max(dim=1).values.median())


@dataclass(frozen=True)
class Likeness:
    """The nearest training picture of each drawn one, ``similarity`` from -1 to 1; ``typical`` as in Trained."""

    nearest: tuple[str, ...]
    similarity: tuple[float, ...]
    typical: float | None

    @classmethod
    def of(cls, drawn: Tensor, trained: Trained) -> Likeness:
        """Of the unit vectors ``drawn`` (M, d), M at least 1."""
        found = (drawn @ trained.features.T).max(dim=1)
        names = tuple(trained.names[place] for place in found.indices.tolist())
        return cls(names, tuple(found.values.tolist()), trained.typical())

    def limit(self) -> float:
        """From which similarity on a picture counts as a copy: nearer than ``_SHARE`` of the way that usually lies
        between a training picture and the nearest other one.
        """
        typical = self.typical if self.typical is not None else _TYPICAL
        return 1 - _SHARE * (1 - typical)

    def metrics(self) -> dict[str, float]:
        """``memorisation/max`` and ``mean`` over the drawn pictures, and what is ``typical`` of the training set."""
        told = {"max": max(self.similarity), "mean": sum(self.similarity) / len(self.similarity)}
        told |= {"typical": self.typical} if self.typical is not None else {}
        return {f"memorisation/{name}": round(value, _DIGITS) for name, value in told.items()}


def warning(step: int, seen: Sequence[Seen], likeness: Likeness) -> str:
    """One line for the drawn picture that is nearest to a training picture, "" unless it is as good as a copy."""
    place = max(range(len(seen)), key=likeness.similarity.__getitem__)
    found, limit = likeness.similarity[place], likeness.limit()
    if found < limit:
        return ""
    return (
        f"step {step}: the picture of '{seen[place].nickname}' looks like the training picture "
        f"{likeness.nearest[place]} (similarity {found:.3f}, above {limit:.3f}): the model may be learning its "
        "pictures by heart. Fewer steps, a lower learning rate, a smaller adapter or more pictures help"
    )


def _thumbnail(image: Image.Image) -> Tensor:
    small = image.convert("RGB").resize((_GRID, _GRID), Image.Resampling.BOX)
    colours = torch.from_numpy(np.asarray(small, dtype=np.float32).reshape(-1, 3).copy())
    # A picture of one colour is like every other such one, and like none with a shape.
    return normalize((colours - colours.mean(dim=0)).flatten(), dim=0)
