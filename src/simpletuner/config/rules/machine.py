"""What follows from the options of processes, machines and sharding together."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from simpletuner.config.optimizers.names import SHARDS, ZEROES
from simpletuner.config.option import facts_of
from simpletuner.config.reading.fill import Source
from simpletuner.config.run import OPTIONS, RunConfig
from simpletuner.config.sections.machine import LOOPBACK
from simpletuner.core.errors import ConfigError

_KEY = "fsdp_enable"
_ZERO = "deepspeed_config"


def machine_problems(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    """Contradictions between options of processes and machines, and of sharding and others."""
    machine = config.machine
    if machine.num_processes % machine.num_machines:
        reason = f"{machine.num_processes} processes in all cannot be shared evenly by {machine.num_machines} machines"
        yield source.problem("num_processes", reason, "give the number of all processes on all machines")
    if machine.machine_rank >= machine.num_machines:
        reason = f"there is no machine {machine.machine_rank} of {machine.num_machines}: they are counted from 0"
        yield source.problem("machine_rank", reason, "number the machines from 0")
    if machine.num_machines > 1 and machine.main_process_ip == LOOPBACK:
        reason = f"is {LOOPBACK}, which is each machine itself"
        yield source.problem("main_process_ip", reason, "give the address of machine 0 in the network")
    if config.shard.deepspeed_config is not None:
        yield from _zero_problems(config, source)
    if config.shard.fsdp_enable:
        yield from _shard_problems(config, source)


def _zero_problems(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    if config.shard.fsdp_enable:
        reason = "DeepSpeed and fsdp_enable cannot be enabled at the same time"
        yield source.problem(_ZERO, reason, f"remove {_ZERO}")
        return
    if config.model.model_type != "full":
        reason = "DeepSpeed shares out what is trained, and an adapter is too small for that"
        yield source.problem(_ZERO, reason, f'remove it; "{_KEY}": true shares out the frozen model')
    yield from _whole_only(config, source, _ZERO)
    yield from _unfit_optimizer(config, source, ZEROES, f"as DeepSpeed cuts them ({_ZERO})")


def _shard_problems(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    yield from _whole_only(config, source, _KEY)
    if config.model.model_type == "full":
        yield from _unfit_optimizer(config, source, SHARDS, f"({_KEY}, model_type full)")


def _unfit_optimizer(config: RunConfig, source: Source, fit: Collection[str], how: str) -> Iterator[ConfigError]:
    name = config.optimizer.optimizer
    if name not in fit:
        cure = f"one of: {', '.join(sorted(fit))}"
        yield source.problem("optimizer", f"{name} does not work on parts of weights {how}", cure)


def _whole_only(config: RunConfig, source: Source, by: str) -> Iterator[ConfigError]:
    """What needs whole weights, which ``by`` leaves in no process."""
    memory = config.memory
    against = {
        "musubi_blocks_to_swap": (
            memory.musubi_blocks_to_swap,
            f"moves whole weights, and {by} leaves no whole ones",
        ),
        "activation_memory_budget": (
            memory.activation_memory_budget,
            f"measures blocks one process at a time, and with {by} all must compute in step",
        ),
        "dynamo_backend": (memory.dynamo_backend != "no", f"compiles over whole weights, and {by} gathers them"),
        "base_model_precision": (
            config.precision.base_model_precision != "no_change",
            f"packs weights in forms that cannot be cut into parts for {by}",
        ),
    }
    for key, (is_on, reason) in against.items():
        if is_on:
            yield source.problem(key, reason, f"remove it, or {by}")


def machine_notices(config: RunConfig, given: Collection[str]) -> Iterator[str]:
    """Options of sharding that nothing reads; ``given`` are the options the user set."""
    shard, is_alone = config.shard, config.machine.num_processes == 1
    if is_alone and (shard.fsdp_enable or shard.deepspeed_config is not None):
        asked = _KEY if shard.fsdp_enable else _ZERO
        yield f"{asked}: a single process has nothing to share weights with, and holds them whole"
    if shard.fsdp_enable:
        if not is_alone and config.model.model_type == "full" and config.ema.use_ema and "ema_device" in given:
            yield "not read: ema_device (the average of sharded weights lies where they do)"
        return
    idle = [name for name in given if OPTIONS[name].section == "shard" and facts_of(OPTIONS[name].declared).reads]
    if unread := sorted(set(idle) - {_KEY, _ZERO}):
        yield f"not read: {', '.join(unread)} (fsdp_enable is off)"
