"""What a run minimises, gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simpletuner.diffusion.timesteps import Law, LogitNormal
from simpletuner.training.objectives.losses import Loss
from simpletuner.training.objectives.perturbation import InputPerturbation
from simpletuner.training.objectives.rollout import Rollout

_USUAL_LAW, _USUAL_LOSS = LogitNormal(), Loss()


@dataclass(frozen=True)
class Timesteps:
    """Where sigma is drawn: by ``law``, from a random number of each use.

    ``stratified`` takes an even sequence over the uses' places in the run instead; ``turns`` are the uses after which a
    list begins again (round-robin), 0 for none. ``own`` are the laws of the data sets that have another, by their id:
    the random number of a use and its place in the sequence are the same under any of them.
    """

    law: Law = _USUAL_LAW
    stratified: bool = False
    turns: int = 0
    own: Mapping[str, Law] = field(default_factory=dict)

    def law_of(self, dataset: str) -> Law:
        """The law under which the uses of ``dataset`` are drawn."""
        return self.own.get(dataset, self.law)


USUAL = Timesteps()
"""What OmniGen was trained with."""


@dataclass(frozen=True)
class Objective:
    """The loss of a cell, where sigma is drawn, and what the model is shown in place of the straight mixture."""

    loss: Loss = _USUAL_LOSS
    timesteps: Timesteps = USUAL
    rollout: Rollout | None = None
    perturbation: InputPerturbation | None = None


PLAIN = Objective()
"""Plain flow matching: squares, a logit-normal sigma, the straight mixture."""
