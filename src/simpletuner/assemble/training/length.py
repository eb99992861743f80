"""How long a run is: SPEC 2.2, in weight updates."""

from __future__ import annotations

from dataclasses import dataclass

from simpletuner.config.rules.together import epochs_wanted
from simpletuner.config.sections.length import LengthConfig
from simpletuner.data.order.calendar import Calendar


@dataclass(frozen=True)
class Length:
    """``steps`` weight updates in all, which touch ``epochs`` epochs; ``updates_per_epoch`` are those of the first."""

    steps: int
    epochs: int
    updates_per_epoch: int
    pictures_per_update: int


def resolve_length(config: LengthConfig, calendar: Calendar, processes: int = 1) -> Length:
    """Steps decide when given, else epochs; ``processes`` share an update.

    Raises ConfigError when no data set is used at some step of the run.
    """
    steps = config.max_train_steps or calendar.steps_for(epochs_wanted(config))
    return Length(
        steps=steps,
        epochs=calendar.epochs_for(steps),
        updates_per_epoch=calendar.length(0),
        pictures_per_update=config.train_batch_size * config.gradient_accumulation_steps * processes,
    )
