"""Contradictions between the options that say where an adapter's training starts from. All pure."""

from __future__ import annotations

from collections.abc import Iterator

from simpletuner.config.reading.fill import Source
from simpletuner.config.run import RunConfig
from simpletuner.core.errors import ConfigError


def start_problems(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    """What contradicts itself in `init_lora`, `init_lora_step`, `init_lora_ema` and `init_lokr_norm`."""
    adapter = config.adapter
    for key, value in (("init_lora_step", adapter.init_lora_step), ("init_lora_ema", adapter.init_lora_ema)):
        if value is not None and adapter.init_lora is None:
            yield source.problem(key, "is given without init_lora", "add init_lora, or remove it")
    if adapter.init_lora_ema is not None and not config.ema.use_ema:
        yield source.problem("init_lora_ema", "is given, and use_ema is off", "set use_ema=true")
    if adapter.init_lora is not None and adapter.init_lokr_norm is not None:
        yield source.problem("init_lokr_norm", "is given with init_lora, which says all first values", "remove one")
    yield from _step(config, source)


def _step(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    step, steps = config.adapter.init_lora_step, config.length.max_train_steps
    if step is None:
        return
    if 0 < steps <= step:
        yield source.problem("init_lora_step", f"{step} must be below max_train_steps ({steps})", "lower it")
    named = config.checkpoints.resume_from_checkpoint
    if named is not None and named != "latest":
        reason = f"is given, and the run goes on from {named}, which has a step of its own"
        yield source.problem("init_lora_step", reason, "remove it, or resume_from_checkpoint")
