"""What every part of a run needs, gathered once."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast

from simpletuner.assemble.hardware import Precision, best_device, resolve_precision
from simpletuner.config.load import LoadedRun
from simpletuner.core.events import Emit, Event, Notice
from simpletuner.core.ranks import ALONE, Ranks
from simpletuner.models.family import ModelFamily
from simpletuner.models.registry import family as find_family
from simpletuner.training.optimizers import try_optimizer


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
    """Choose device, formats and seed, and tell what the configuration has to say; of several processes one tells.

    ``saved_seed`` is that of the checkpoint gone on from: a seed that was drawn must not be drawn again.
    """
    device = best_device()
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
    config = loaded.config
    key = "base_model_default_dtype"
    asked_bf16 = key in loaded.values and config.precision.base_model_default_dtype == "bf16"
    precision = resolve_precision(
        config.model, config.precision, config.optimizer.optimizer, device, bf16_adapter=asked_bf16
    )
    emit = emit if accelerator.is_main_process else _silent
    for text in (*loaded.notices, *precision.notices, *try_optimizer(config.optimizer, device)):
        emit(Notice(text))
    return Stage(
        loaded=loaded,
        family=find_family(config.model.model_family),
        accelerator=accelerator,
        precision=precision,
        seed=_of_first(accelerator, _seed(config.length.seed, saved_seed)),
        emit=emit,
    )


def ranks_of(accelerator: Accelerator) -> Ranks:
    """The processes that ``accelerator`` knows of; all of them call this at the same time."""
    if accelerator.num_processes == 1:
        return ALONE
    job = f"{_of_first(accelerator, secrets.randbits(32)):08x}"
    return Ranks(accelerator.process_index, accelerator.num_processes, accelerator.wait_for_everyone, job)


def _of_first(accelerator: Accelerator, number: int) -> int:
    """The number that the first process has, in all of them."""
    if accelerator.num_processes == 1:
        return number
    return int(broadcast(torch.tensor(number, device=accelerator.device)).item())


def _silent(_event: Event) -> None:
    """Nobody reads what the other processes say."""


def draws_seed(loaded: LoadedRun) -> bool:
    """Whether the run has another seed at each fresh start."""
    asked = loaded.config.length.seed
    return asked is not None and asked <= 0


def _seed(asked: int | None, saved: int | None) -> int:
    """SPEC 2.1.2: 0 takes the time, -1 a random number; not given, 42."""
    if asked is None:
        return 42
    if asked <= 0 and saved is not None:
        return saved
    if asked == 0:
        return int(time.time())
    return random.SystemRandom().randrange(1 << 31) if asked < 0 else asked
