"""How long a run is: SPEC 2.2, in weight updates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simpletuner.config.length import LengthConfig
from simpletuner.config.rules import epochs_wanted


@dataclass(frozen=True)
class Length:
    """``steps`` weight updates in all, which touch ``epochs`` epochs."""

    steps: int
    epochs: int
    updates_per_epoch: int
    pictures_per_update: int


def resolve_length(config: LengthConfig, updates_per_epoch: int) -> Length:
    """Steps decide when given, else epochs."""
    steps = config.max_train_steps or epochs_wanted(config) * updates_per_epoch
    return Length(
        steps=steps,
        epochs=math.ceil(steps / updates_per_epoch),
        updates_per_epoch=updates_per_epoch,
        pictures_per_update=config.train_batch_size * config.gradient_accumulation_steps,
    )
