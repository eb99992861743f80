"""From uses of samples to the tensors of a micro-batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from simpletuner.core.batch import Batch, Latents, Prompt, Sizes
from simpletuner.core.samples import Use
from simpletuner.training import draws
from simpletuner.training.objectives.objective import PLAIN, Objective
from simpletuner.training.objectives.perturbation import InputPerturbation
from simpletuner.training.objectives.rollout import Rollout


@dataclass(frozen=True)
class BatchMaker:
    """Makes batches. All randomness comes from ``seed`` and the uses themselves.

    ``latents`` gives a use's posterior (C, h, w); ``masks`` what its cells count, (1, h, w), or None for in full;
    ``references`` the posteriors of its input pictures; ``captions`` its candidate captions; ``tokens`` the ids of a
    caption with so many input pictures; ``unconditional`` the ids that stand in for a dropped caption, with probability
    ``dropout``: its input pictures are dropped with it, as in the official trainer.
    """

    seed: int
    latents: Callable[[Use], Latents]
    masks: Callable[[Use], Tensor | None]
    references: Callable[[Use], Sequence[Latents]]
    captions: Callable[[Use], Sequence[str]]
    tokens: Callable[[str, int], Tensor]
    unconditional: Tensor
    dropout: float

    def make(self, uses: Sequence[Use], objective: Objective = PLAIN, step: int = 1) -> Batch:
        """The micro-batch of ``uses`` in update ``step`` (1-based), with what ``objective`` asks for.

        Rows of unequal size are padded after everything of theirs is drawn.
        """
        drawn = [draws.latents(self.seed, use, self.latents(use)) for use in uses]
        sizes = tuple((row.shape[1], row.shape[2]) for row in drawn)
        sigma = torch.stack([draws.sigma(self.seed, use, objective.timesteps) for use in uses])
        return Batch(
            uses=tuple(uses),
            latents=_padded(drawn),
            noise=_padded([draws.noise(self.seed, use, row.shape) for use, row in zip(uses, drawn, strict=True)]),
            sigma=sigma,
            prompts=tuple(self._prompt(use) for use in uses),
            sizes=sizes if len(set(sizes)) > 1 else None,
            mask=self._mask(uses, sizes),
            lengths=self._lengths(uses, objective.rollout, step, sigma),
            extra_noise=self._extra_noise(uses, objective.perturbation, step, drawn),
        )

    def _lengths(self, uses: Sequence[Use], rollout: Rollout | None, step: int, sigma: Tensor) -> tuple[int, ...]:
        if rollout is None:
            return ()
        pairs = zip(uses, sigma.tolist(), strict=True)
        return tuple(draws.rollout_length(self.seed, use, step, share, rollout) for use, share in pairs)

    def _extra_noise(
        self, uses: Sequence[Use], perturbation: InputPerturbation | None, step: int, drawn: Sequence[Tensor]
    ) -> Tensor | None:
        if perturbation is None or (strength := perturbation.at(step)) == 0:
            return None
        pairs = zip(uses, drawn, strict=True)
        return _padded([draws.extra_noise(self.seed, use, row.shape, strength) for use, row in pairs])

    def _mask(self, uses: Sequence[Use], sizes: Sizes) -> Tensor | None:
        rows = [self.masks(use) for use in uses]
        if all(row is None for row in rows):
            return None
        whole = torch.ones(1, 1, 1)
        # expand() refuses a mask of another size than its picture, which padding would hide.
        return _padded(
            [(whole if row is None else row).expand(1, *size) for row, size in zip(rows, sizes, strict=True)]
        )

    def _prompt(self, use: Use) -> Prompt:
        if self.dropout > 0 and draws.drops_caption(self.seed, use, self.dropout):
            return Prompt(self.unconditional)
        pictures = draws.references(self.seed, use, self.references(use))
        return Prompt(self.tokens(draws.caption(self.seed, use, self.captions(use)), len(pictures)), pictures)


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """Rows (C, h, w) as (B, C, H, W), with zeros at the bottom and right of the smaller ones."""
    height, width = (max(row.shape[axis] for row in rows) for axis in (1, 2))
    return torch.stack([pad(row, (0, width - row.shape[2], 0, height - row.shape[1])) for row in rows])
