"""What follows from several options of memory and speed together."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from simpletuner.config.reading.fill import Source
from simpletuner.config.run import RunConfig
from simpletuner.core.errors import ConfigError

_OF_DYNAMO = ("dynamo_mode", "dynamo_fullgraph", "dynamo_dynamic", "dynamo_use_regional_compilation")
_OF_CHECKPOINTING = ("gradient_checkpointing_backend", "gradient_checkpointing_interval")


def memory_problems(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    """Contradictions between options of memory and speed."""
    memory = config.memory
    grouped = (memory.gradient_checkpointing_interval or 1) > 1
    if memory.activation_memory_budget is not None and not memory.gradient_checkpointing:
        reason = "says how much is not computed again, and gradient_checkpointing is off"
        yield source.problem("activation_memory_budget", reason, "turn gradient_checkpointing on, or remove it")
    if memory.activation_memory_budget is not None and grouped:
        reason = "decides which blocks are computed again, and so does gradient_checkpointing_interval"
        yield source.problem("activation_memory_budget", reason, "keep one of them")
    if memory.dynamo_mode != "default" and memory.dynamo_backend not in ("no", "inductor"):
        reason = f"{memory.dynamo_mode} is a mode of inductor, and dynamo_backend is {memory.dynamo_backend}"
        yield source.problem("dynamo_mode", reason, 'set "dynamo_backend": "inductor", or remove it')
    if memory.musubi_blocks_to_swap:
        yield from _swap_problems(config, source, grouped=grouped)


def _swap_problems(config: RunConfig, source: Source, *, grouped: bool) -> Iterator[ConfigError]:
    key = "musubi_blocks_to_swap"
    if config.model.model_type == "full":
        yield source.problem(key, "moves frozen weights, and model_type full trains them all", "remove it")
    if not config.memory.gradient_checkpointing:
        reason = "a swapped block is computed again in the backward pass, and gradient_checkpointing is off"
        yield source.problem(key, reason, "turn gradient_checkpointing on, or remove it")
    if grouped:
        reason = "blocks come and go one by one, and gradient_checkpointing_interval computes several together"
        yield source.problem(key, reason, "set gradient_checkpointing_interval to 1, or remove one of them")


def memory_notices(config: RunConfig, given: Collection[str]) -> Iterator[str]:
    """Options of memory and speed that nothing reads; ``given`` are the options the user set."""
    memory = config.memory
    idle = {
        "dynamo_backend is no": _OF_DYNAMO if memory.dynamo_backend == "no" else (),
        "gradient_checkpointing is off": () if memory.gradient_checkpointing else _OF_CHECKPOINTING,
    }
    for reason, names in idle.items():
        if unread := [name for name in names if name in given]:
            yield f"not read: {', '.join(unread)} ({reason})"
