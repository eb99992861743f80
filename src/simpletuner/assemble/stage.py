"""What every part of a run needs, gathered once."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from accelerate import Accelerator

from simpletuner.assemble.burden import without_card
from simpletuner.assemble.hardware import Precision, best_device, require_available, resolve_precision, set_arithmetic
from simpletuner.assemble.launchers import require_no_plugin
from simpletuner.assemble.unseen import require_seen
from simpletuner.assemble.weights import Weights, choose_weights
from simpletuner.config.load import LoadedRun
from simpletuner.core.events import Emit, Event, Notice
from simpletuner.core.ranks import ALONE, Ranks
from simpletuner.models.family import ModelFamily
from simpletuner.models.registry import family as find_family
from simpletuner.models.source import find_commit
from simpletuner.training.optimizers import try_optimizer
from simpletuner.training.parallel.joining import join
from simpletuner.training.parallel.processes import Processes
from simpletuner.training.parallel.zero import load_deepspeed


@dataclass(frozen=True)
class Stage:
    """What every part of the run needs: configuration, family, weights, machine, seed and the ear of the user.

    ``commits`` are those of the repositories of the hub that pictures are looked at with, by repository.
    """

    loaded: LoadedRun
    family: ModelFamily
    weights: Weights
    accelerator: Accelerator
    processes: Processes
    precision: Precision
    seed: int
    emit: Emit
    commits: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_sharded(self) -> bool:
        """Whether the processes hold the model together, each a part of it."""
        is_asked = self.loaded.config.shard.fsdp_enable or self.loaded.zero is not None
        return is_asked and self.processes.count > 1

    @property
    def output_dir(self) -> Path:
        """Where results go."""
        return Path(self.loaded.config.report.output_dir)


def find_processes(loaded: LoadedRun) -> Processes:
    """The processes that a launcher has started for this run, met for the first time. Called once in each of them.

    Raises ConfigError when there is no device for this one, or a launcher's plugin would not be in force.
    """
    require_no_plugin(loaded.environ)
    return join(loaded.environ, best_device())


def set_stage(loaded: LoadedRun, saved_seed: int | None, emit: Emit, processes: Processes | None = None) -> Stage:
    """Choose device, formats and seed, and tell what the configuration has to say; of several processes one tells.

    ``saved_seed`` is that of the checkpoint gone on from: a seed that was drawn must not be drawn again. ``processes``
    None finds them.
    """
    processes = find_processes(loaded) if processes is None else processes
    device = best_device()
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
    config = loaded.config
    set_arithmetic(config.speed, device)
    key = "base_model_default_dtype"
    asked_bf16 = key in loaded.values and config.precision.base_model_default_dtype == "bf16"
    precision = resolve_precision(
        config.model, config.precision, config.optimizer.optimizer, device, bf16_adapter=asked_bf16
    )
    require_available(config.precision, config.memory, device)
    if loaded.zero is not None and processes.count > 1:
        # Not installed, it is missed before hours of caching.
        load_deepspeed(device)
    emit = emit if processes.is_first else silent
    family = find_family(config.model.model_family)
    if device.type == "cpu" and (told := require_seen(loaded, family.facts) or without_card(loaded, family.facts)):
        emit(Notice(told, level="warning"))
    for text in (*loaded.notices, *precision.notices, *try_optimizer(config.optimizer, device)):
        emit(Notice(text))
    return Stage(
        loaded=loaded,
        family=family,
        weights=choose_weights(loaded, family.facts),
        accelerator=accelerator,
        processes=processes,
        precision=precision,
        seed=int(processes.of_first(lambda: str(_seed(config.length.seed, saved_seed)))),
        emit=emit,
    )


def pinned(stage: Stage, saved_commit: str | None) -> Stage:
    """``stage`` with the one commit that all processes load all of the model from, where the weights are on the hub.

    ``saved_commit`` is that of the checkpoint gone on from, which holds unless the user asks for a revision. Raises
    ConfigError when there is none, or it can be neither asked for nor was fetched before.
    """
    weights = stage.weights
    if not weights.is_on_hub:
        return stage
    asked = weights.revision or saved_commit
    commit = stage.processes.of_first(lambda: find_commit(str(weights.source), asked))
    why = ", that of the checkpoint" if weights.revision is None and saved_commit else ""
    stage.emit(Notice(f"weights: {weights.source} at commit {commit}{why}"))
    return replace(stage, weights=replace(weights, commit=commit))


def ranks_of(processes: Processes) -> Ranks:
    """What the torch-free part of the program needs of ``processes``; all of them call this at the same time."""
    if processes.count == 1:
        return ALONE
    job = processes.of_first(lambda: f"{secrets.randbits(32):08x}")
    return Ranks(processes.rank, processes.count, processes.wait, job)


def silent(_event: Event) -> None:
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
