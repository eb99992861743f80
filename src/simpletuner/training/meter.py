"""What a step's loss means: by noise level, and beside what it can be held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import one_hot

from simpletuner.core.samples import Update, Use
from simpletuner.diffusion.references.explained import bin_of, explained
from simpletuner.diffusion.references.linear import LinearReference, Size

BINS = 5
"""Equal parts of sigma from 0 (the image) to 1 (noise), by which a step's loss is told."""


@dataclass(frozen=True)
class Meter:
    """What the losses of a run are held against.

    ``variance`` is that of the target, ``linear`` the best linear denoiser's loss, both None where no latents were
    measured; ``size`` gives the latent size of a use; ``comparable`` says whether the loss on a data set is the plain
    squared error, of which alone they speak.
    """

    variance: float | None
    linear: LinearReference | None
    size: Callable[[Use], Size]
    comparable: Callable[[str], bool]

    def figures(self, update: Update, sigmas: Sequence[float], sums: Sequence[float]) -> dict[str, float]:
        """For trackers, of the uses' ``sigmas`` and the ``sums`` of :func:`by_bin` over all rows of the update.

        ``loss/bin/<k>`` of the bins that have rows; where comparable ``loss/explained``, the same by bin, and
        ``loss/linear_reference``, which is taken at the very sigmas and sizes of this update.
        """
        counts = [0] * BINS
        for sigma in sigmas:
            counts[bin_of(sigma, BINS)] += 1
        bins = {number: sums[number] / count for number, count in enumerate(counts) if count}
        told = {f"loss/bin/{number}": loss for number, loss in bins.items()}
        if not self.comparable(update.dataset):
            return told
        if self.variance is not None:
            told["loss/explained"] = explained(sum(sums) / len(sigmas), self.variance)
            told |= {f"loss/explained/bin/{number}": explained(loss, self.variance) for number, loss in bins.items()}
        linear = self._linear(update.uses, sigmas)
        return told if linear is None else told | {"loss/linear_reference": linear}

    def _linear(self, uses: Sequence[Use], sigmas: Sequence[float]) -> float | None:
        if self.linear is None:
            return None
        return self.linear.mean([(self.size(use), sigma) for use, sigma in zip(uses, sigmas, strict=True)])


def by_bin(loss: Tensor, sigma: Tensor) -> Tensor:
    """The sum of ``loss`` (B,) in each bin of ``sigma`` (B,), which lies on the CPU: (BINS,), where ``loss`` lies."""
    bins = (sigma * BINS).long().clamp(0, BINS - 1)
    return one_hot(bins, BINS).T.to(loss.device, loss.dtype, non_blocking=True) @ loss
