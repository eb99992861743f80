"""From the options of the weight update to an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import Parameter

from simpletuner.config.rules.optimizer import settings_in_force
from simpletuner.config.sections.optimizer import OptimizerConfig
from simpletuner.core.errors import ConfigError
from simpletuner.training.adamw_bf16 import AdamSettings, AdamWBF16
from simpletuner.training.gradients import gather_in_fp32
from simpletuner.training.optimizers import (
    from_bitsandbytes,
    from_optimi,
    from_pytorch_optimizer,
    from_torch,
    from_torchao,
)

Door = Callable[[str, Sequence[Parameter], float, Mapping[str, Any]], torch.optim.Optimizer]
"""``(name, parameters, rate, settings)``: what a library makes of a name; its default holds for absent settings."""

_DOORS: dict[str, Door] = {
    "torch": from_torch.build,
    "ao": from_torchao.build,
    "optimi": from_optimi.build,
    "bnb": from_bitsandbytes.build,
    "adamw_schedulefree": from_pytorch_optimizer.build,
    "adamw_schedulefree+aggressive": from_pytorch_optimizer.build,
    "adamw_schedulefree+no_kahan": from_pytorch_optimizer.build,
    "soap": from_pytorch_optimizer.build,
    "prodigy": from_pytorch_optimizer.build,
    "muon": from_pytorch_optimizer.build,
}
_TRIAL = (64, 64)


def build_optimizer(
    config: OptimizerConfig, parameters: Iterable[Parameter], seed: int, rate: float | None = None
) -> torch.optim.Optimizer:
    """The optimizer named by ``config.optimizer``, for parameters of one device.

    ``seed`` keys the random rounding of ``adamw_bf16``; ``rate`` is the peak learning rate, ``learning_rate`` when it
    is not given. Raises ConfigError when the library is missing or does not take the settings.
    """
    trained = list(parameters)
    if config.gradient_precision == "fp32":
        gather_in_fp32(trained)
    name, peak = config.optimizer, config.learning_rate if rate is None else rate
    settings = settings_in_force(config)
    if name == "adamw_bf16":
        own = AdamSettings(settings["betas"], settings["eps"], settings["weight_decay"])
        return AdamWBF16(trained, peak, own, seed)
    with _settings_named(name):
        return _DOORS[name.partition("-")[0]](name, trained, peak, settings)


def try_optimizer(config: OptimizerConfig, device: torch.device) -> tuple[str, ...]:
    """Prove at the start of a run that its optimizer can be had: build it and step it once on ``device``.

    Returns what the user should know of it. Raises ConfigError for a missing library, for settings that it does not
    take, and when it does not run on this device.
    """
    parameter = Parameter(torch.ones(_TRIAL, device=device))
    parameter.grad = torch.ones_like(parameter)
    optimizer = build_optimizer(config, [parameter], seed=0)
    try:
        with torch.compiler.set_stance("force_eager"):
            optimizer.step()
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        reason = f"'{config.optimizer}' does not run on {device.type} with these settings: {error}"
        raise ConfigError(reason, key="optimizer", cure="use adamw_bf16 or torch-adamw") from error
    if config.optimizer.endswith("-paged") and device.type != "cuda":
        return (f"{config.optimizer}: pages are CUDA's; on {device.type} its state simply lies in memory",)
    return ()


@contextmanager
def _settings_named(name: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"{name}: {error}", key="optimizer_config", cure="change or remove the setting") from error
