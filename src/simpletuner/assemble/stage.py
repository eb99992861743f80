"""What every part of a run needs, gathered once."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from simpletuner.assemble.hardware import Precision, best_device, resolve_precision
from simpletuner.config.load import LoadedRun
from simpletuner.core.events import Emit, Notice
from simpletuner.core.ranks import ALONE, Ranks
from simpletuner.models.family import ModelFamily
from simpletuner.models.registry import family as find_family


@dataclass(frozen=True)
class Stage:
    """What every part of the run needs: configuration, family, machine, seed and the ear of the user."""

    loaded: LoadedRun
    family: ModelFamily
    accelerator: Accelerator
    precision: Precision
    seed: int
    emit: Emit

    @property
    def output_dir(self) -> Path:
        """Where results go."""
        return Path(self.loaded.config.report.output_dir)


def set_stage(loaded: LoadedRun, saved_seed: int | None, emit: Emit) -> Stage:
    """Choose device, formats and seed, and tell what the configuration has to say.

    ``saved_seed`` is that of the checkpoint gone on from: a seed that was drawn must not be drawn again.
    """
    device = best_device()
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
    config = loaded.config
    key = "base_model_default_dtype"
    asked_bf16 = key in loaded.values and config.model.base_model_default_dtype == "bf16"
    precision = resolve_precision(config.model, config.optimizer.optimizer, device, bf16_adapter=asked_bf16)
    for text in (*loaded.notices, *precision.notices):
        emit(Notice(text))
    return Stage(
        loaded=loaded,
        family=find_family(config.model.model_family),
        accelerator=accelerator,
        precision=precision,
        seed=_seed(config.length.seed, saved_seed),
        emit=emit,
    )


def ranks_of(accelerator: Accelerator) -> Ranks:
    """The processes that ``accelerator`` knows of."""
    if accelerator.num_processes == 1:
        return ALONE
    return Ranks(accelerator.process_index, accelerator.num_processes, accelerator.wait_for_everyone)


def _seed(asked: int | None, saved: int | None) -> int:
    """SPEC 2.1.2: 0 takes the time, -1 a random number; not given, 42."""
    if asked is None:
        return 42
    if asked <= 0 and saved is not None:
        return saved
    if asked == 0:
        return int(time.time())
    return random.SystemRandom().randrange(1 << 31) if asked < 0 else asked
