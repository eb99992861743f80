"""What follows from the options of the weight update together. All pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from simpletuner.config.optimizers.names import CLIPS_ITSELF, SCHEDULE_FREE
from simpletuner.config.optimizers.settings import read_settings, settings_of
from simpletuner.config.reading.fill import Source
from simpletuner.config.run import RunConfig
from simpletuner.config.sections.optimizer import OptimizerConfig
from simpletuner.core.errors import ConfigError

_SHAPE_OPTIONS = ("lr_end", "lr_num_cycles", "lr_power", "lr_scheduler")
_ADAM_OPTIONS = {
    "adam_beta1": "betas",
    "adam_beta2": "betas",
    "adam_epsilon": "eps",
    "adam_weight_decay": "weight_decay",
    "optimizer_beta1": "betas",
    "optimizer_beta2": "betas",
}
# Muon moves matrices; an AdamW in it moves the rest and has names of its own.
_OF_MUON = {"betas": "adamw_betas", "eps": "adamw_eps", "weight_decay": "weight_decay"}
_THIRD_BETA = {"optimi-adan": 0.99} | {f"bnb-ademamix{kind}": 0.9999 for kind in ("", "8bit", "-paged", "8bit-paged")}
_PRODIGYS_RATE = 0.1
_USUAL_RATE = "1e-4 is usual, 2e-5 with Lion"


def settings_in_force(config: OptimizerConfig) -> dict[str, Any]:
    """The arguments, beside weights and rate, that make the optimizer; what is absent is its library's own default.

    ``optimizer_beta1/2`` win over ``optimizer_config``, that over ``adam_*``, and those count when they are given.
    Raises ValueError when ``optimizer_config`` cannot be read.
    """
    name = config.optimizer
    values = {**_own(config), **_adam_values(config), **read_settings(name, config.optimizer_config)}
    if config.optimizer_beta1 is not None and _target(name, "betas"):
        values[_target(name, "betas")] = (config.optimizer_beta1, config.optimizer_beta2)
    betas = values.get("betas", ())
    if name in _THIRD_BETA and len(betas) == 2:
        values["betas"] = (*betas, _THIRD_BETA[name])
    if name == "muon" and "weight_decay" in values:
        values.setdefault("adamw_wd", values["weight_decay"])
    return values


def _own(config: OptimizerConfig) -> dict[str, Any]:
    """Where a name means something else than its library's defaults."""
    name = config.optimizer
    if name == "adamw_bf16":
        return {"betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 0.01}
    if name in SCHEDULE_FREE:
        # r: the average weighs the weights after step k by k to the power of r.
        leaning = {"r": 1.0} if name.endswith("+aggressive") else {}
        return {"weight_decay": 0.01, "warmup_steps": config.lr_warmup_steps, **leaning}
    if name == "muon":
        # Scaled so that one rate serves the matrices and the AdamW of the rest (Liu et al. 2025, arXiv 2502.16982).
        return {"use_adjusted_lr": True}
    return {}


def _adam_values(config: OptimizerConfig) -> dict[str, Any]:
    given: dict[str, Any] = {"eps": config.adam_epsilon, "weight_decay": config.adam_weight_decay}
    if {"adam_beta1", "adam_beta2"} & config.model_fields_set:
        given["betas"] = (config.adam_beta1, config.adam_beta2)
    targets = {key: _target(config.optimizer, key) for key in given}
    return {targets[key]: value for key, value in given.items() if value is not None and targets[key]}


def _target(optimizer: str, key: str) -> str:
    """The optimizer's own name for ``betas``, ``eps`` or ``weight_decay``; empty when it has none such."""
    name = _OF_MUON[key] if optimizer == "muon" else key
    # torch's Adafactor has a pair of epsilons that mean something else.
    wanted = "numbers" if key == "betas" else "number"
    return name if settings_of(optimizer).get(name) == wanted else ""


def optimizer_problems(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    """Contradictions between the options of the weight update."""
    try:
        settings_in_force(config.optimizer)
    except ValueError as error:
        yield source.problem("optimizer_config", str(error), 'write "name=value,name=value", or an object')


def optimizer_notices(config: RunConfig, given: Collection[str]) -> Iterator[str]:
    """What the user should know of their choice; ``given`` are the options they set."""
    name = config.optimizer.optimizer
    for reason, options in _unread(name).items():
        unread = [option for option in options if option in given]
        if unread:
            yield f"not read: {', '.join(unread)} ({reason})"
    if name in SCHEDULE_FREE:
        yield f"{name} keeps its own schedule after lr_warmup_steps, and saves and validates averaged weights"
    if name in SCHEDULE_FREE and config.ema.use_ema:
        yield f"{name} averages the weights already: use_ema keeps a second average"
    if name.endswith("+no_kahan"):
        yield f"{name} is adamw_schedulefree: the weights are fp32, where there is no Kahan sum to leave out"
    if name in ("ao-adamfp8", "ao-adamwfp8"):
        yield (
            f"{name} keeps small second moments as 0: single weights can move by 80 times the rate in one update "
            "(measured); bnb-adamw8bit takes the same memory and moves none by more than 2"
        )
    if name == "prodigy" and config.optimizer.learning_rate < _PRODIGYS_RATE:
        yield (
            f"prodigy finds the rate itself and multiplies it by learning_rate: {config.optimizer.learning_rate:g} "
            "is very low, 1 is usual"
        )


def rate_notices(config: RunConfig, given: Collection[str]) -> Iterator[str]:
    """A rate that nobody chose, and one that rises until the run is over."""
    rate, steps = config.optimizer, config.length.max_train_steps
    if "learning_rate" not in given and config.model.model_type == "lora" and rate.optimizer != "prodigy":
        yield f"learning_rate is not given: {rate.learning_rate:g} teaches an adapter next to nothing; {_USUAL_RATE}"
    if 0 < steps <= rate.lr_warmup_steps:
        yield f"lr_warmup_steps {rate.lr_warmup_steps}: the rate still rises when the run ends, after {steps} steps"


def _unread(name: str) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    reasons[f"{name} has no such setting"] = [option for option, key in _ADAM_OPTIONS.items() if not _target(name, key)]
    if name in SCHEDULE_FREE:
        reasons[f"{name} keeps its own schedule"] = list(_SHAPE_OPTIONS)
    if name in CLIPS_ITSELF:
        reasons[f"gradients are not clipped for {name}"] = ["grad_clip_method", "max_grad_norm"]
    return reasons
