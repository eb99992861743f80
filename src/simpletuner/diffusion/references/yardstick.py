"""What the losses on some pictures are held against, from their latents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simpletuner.core.batch import Latents
from simpletuner.diffusion.references.explained import Moments, explained, target_variance
from simpletuner.diffusion.references.linear import FEWEST, LinearReference, Size, Spectrum


@dataclass(frozen=True, eq=False)
class Yardstick:
    """The ``variance`` of the target, which is the loss of the best constant, and the best linear denoiser's loss."""

    variance: float
    linear: LinearReference

    @classmethod
    def of(cls, pictures: Iterable[tuple[Latents, float]], fewest: int = FEWEST) -> Yardstick:
        """Of posteriors (C, h, w), each with how often it counts; there is at least one.

        Sizes that fewer than ``fewest`` have get no linear reference.
        """
        moments, spectra = Moments(), dict[Size, Spectrum]()
        for latents, weight in pictures:
            moments.add(latents, weight)
            height, width = latents.mean.shape[1:]
            spectra.setdefault((height, width), Spectrum()).add(latents, weight)
        return cls(target_variance(moments.variance()), LinearReference.of(spectra, fewest))

    def explained(self, loss: float) -> float:
        """The share of the target's variance that ``loss`` explains."""
        return explained(loss, self.variance)

    def linear_mean(self, sizes: Sequence[Size], sigmas: Sequence[float]) -> float | None:
        """The best linear denoiser's loss over all ``sizes`` at all ``sigmas``; None where a size is not known."""
        return self.linear.mean([(size, sigma) for size in sizes for sigma in sigmas])
