"""Optimizers by the names of the configuration."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn import Parameter

from simpletuner.config.optimizer import OptimizerConfig
from simpletuner.core.errors import ConfigError
from simpletuner.training.adamw_bf16 import AdamSettings, AdamWBF16


def adam_settings(config: OptimizerConfig, default_epsilon: float) -> AdamSettings:
    """Betas, epsilon and decay: ``optimizer_beta1/2`` win over ``adam_beta1/2``."""
    first = config.adam_beta1 if config.optimizer_beta1 is None else config.optimizer_beta1
    second = config.adam_beta2 if config.optimizer_beta2 is None else config.optimizer_beta2
    epsilon = default_epsilon if config.adam_epsilon is None else config.adam_epsilon
    return AdamSettings(betas=(first, second), epsilon=epsilon, weight_decay=config.adam_weight_decay)


def build_optimizer(config: OptimizerConfig, parameters: Iterable[Parameter], seed: int) -> torch.optim.Optimizer:
    """The optimizer named by ``config.optimizer``. ``seed`` keys the random rounding of ``adamw_bf16``."""
    match config.optimizer:
        case "adamw_bf16":
            settings = adam_settings(config, default_epsilon=1e-6)
            return AdamWBF16(parameters, config.learning_rate, settings, seed)
        case "torch-adamw":
            settings = adam_settings(config, default_epsilon=1e-8)
            return torch.optim.AdamW(
                parameters,
                lr=config.learning_rate,
                betas=settings.betas,
                eps=settings.epsilon,
                weight_decay=settings.weight_decay,
            )
        case name:
            raise ConfigError(
                f"'{name}' is not built in this version", key="optimizer", cure="adamw_bf16 or torch-adamw"
            )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group the learning rate ``rate``."""
    for group in optimizer.param_groups:
        group["lr"] = rate
