"""From uses of samples to the tensors of a micro-batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from simpletuner.core.batch import Batch, Latents
from simpletuner.core.samples import SampleId, Use
from simpletuner.training import draws


@dataclass(frozen=True)
class BatchMaker:
    """Makes batches. All randomness comes from ``seed`` and the uses themselves.

    ``latents`` gives a sample's posterior; ``captions`` its candidate captions; ``tokens`` the ids of a caption;
    ``unconditional`` the ids that stand in for a dropped caption, with probability ``dropout``.
    """

    seed: int
    latents: Callable[[SampleId], Latents]
    captions: Mapping[SampleId, Sequence[str]]
    tokens: Callable[[str], Tensor]
    unconditional: Tensor
    dropout: float

    def make(self, uses: Sequence[Use]) -> Batch:
        """The micro-batch of ``uses``, which lie in one bucket."""
        drawn = [draws.latents(self.seed, use, self.latents(use.sample)) for use in uses]
        return Batch(
            uses=tuple(uses),
            latents=torch.stack(drawn),
            noise=torch.stack([draws.noise(self.seed, use, drawn[0].shape) for use in uses]),
            sigma=torch.stack([draws.sigma(self.seed, use) for use in uses]),
            prompts=tuple(self._prompt(use) for use in uses),
        )

    def _prompt(self, use: Use) -> Tensor:
        if self.dropout > 0 and draws.drops_caption(self.seed, use, self.dropout):
            return self.unconditional
        return self.tokens(draws.caption(self.seed, use, self.captions[use.sample]))
