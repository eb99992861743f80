"""What follows from several options together: facts, contradictions and things worth a line. All pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from simpletuner.config.optimizers.names import SCHEDULE_FREE
from simpletuner.config.option import LATER, facts_of
from simpletuner.config.problems import near
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.resolutions import parse_resolutions
from simpletuner.config.rules.adapter import start_problems
from simpletuner.config.rules.checkpoints import checkpoint_notices, checkpoint_problems
from simpletuner.config.rules.machine import machine_notices, machine_problems
from simpletuner.config.rules.memory import memory_notices, memory_problems
from simpletuner.config.rules.objective import objective_notices, objective_problems
from simpletuner.config.rules.optimizer import optimizer_notices, optimizer_problems, rate_notices
from simpletuner.config.rules.precision import precision_notices, precision_problems
from simpletuner.config.rules.publishing import publishing_notices, publishing_problems
from simpletuner.config.run import OPTIONS, RunConfig
from simpletuner.config.sections.length import LengthConfig
from simpletuner.config.sections.optimizer import OptimizerConfig
from simpletuner.core.errors import ConfigError

TRACKERS = ("tensorboard", "wandb", "comet_ml", "swanlab", "simpletuner", "all")
_RESPELLED_TRACKERS = {"comet": "comet_ml", "comet-ml": "comet_ml"}
_LATER_TRACKERS = ("custom-tracker",)
_LAST_SEED = 0
_FALLING = ("polynomial", "cosine", "cosine_with_restarts", "sine")
_READ_BY = {
    "lycoris": ("init_lokr_norm", "lycoris_config"),
    "standard": ("lora_alpha", "lora_dropout", "lora_rank", "peft_lora_target_modules"),
}


def epochs_wanted(length: LengthConfig) -> int:
    """Epochs to train; 0 lets ``max_train_steps`` decide. Not given, it is 0 beside steps and 1 alone."""
    if length.num_train_epochs is not None:
        return length.num_train_epochs
    return 0 if length.max_train_steps > 0 else 1


def scheduler_in_force(optimizer: OptimizerConfig) -> str:
    """The learning rate's shape: ``constant`` with a warm-up is ``constant_with_warmup``.

    ``constant`` for an optimizer that keeps its own schedule, warm-up and all.
    """
    if optimizer.optimizer in SCHEDULE_FREE:
        return "constant"
    if optimizer.lr_scheduler == "constant" and optimizer.lr_warmup_steps > 0:
        return "constant_with_warmup"
    return optimizer.lr_scheduler


def validation_seed(config: RunConfig) -> int:
    """The seed of validation noise: its own, else a fixed ``seed``, else 0."""
    if config.validation.validation_seed is not None:
        return config.validation.validation_seed
    seed = config.length.seed
    return seed if seed is not None and seed > 0 else _LAST_SEED


def trackers(report_to: str) -> tuple[str, ...]:
    """The trackers of ``report_to``, a comma list; empty for ``none``. Raises ConfigError for other names."""
    written = [name.strip().lower() for name in report_to.split(",") if name.strip()]
    names = [_RESPELLED_TRACKERS.get(name, name) for name in written]
    every = f"use one or several of: {', '.join((*TRACKERS, 'none'))}"
    for name in names:
        if name in _LATER_TRACKERS:
            raise ConfigError(f"'{name}' {LATER}", key="report_to", cure=every)
        if name not in (*TRACKERS, "none"):
            cure = near(name, (*TRACKERS, "none")) or every
            raise ConfigError(f"unknown tracker '{name}'", key="report_to", cure=cure)
    return tuple(dict.fromkeys(name for name in names if name != "none"))


def contradictions(config: RunConfig, source: Source) -> list[ConfigError]:
    """Every contradiction between options of one configuration."""
    ours = (_length, _rates, _betas, _texts, machine_problems)
    theirs = (optimizer_problems, precision_problems, memory_problems, start_problems, checkpoint_problems)
    more = (objective_problems, publishing_problems)
    return [problem for check in (*ours, *theirs, *more) for problem in check(config, source)]


def _length(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    steps, epochs = config.length.max_train_steps, epochs_wanted(config.length)
    if steps > 0 and epochs > 0:
        reason = f"{steps} steps and num_train_epochs {epochs} are both given"
        yield source.problem("max_train_steps", reason, 'set "num_train_epochs": 0 to train for the steps')
    if steps == 0 and epochs == 0:
        cure = "set one of them above 0"
        yield source.problem("max_train_steps", "is 0 and num_train_epochs is 0: nothing to train", cure)


def _rates(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    rate = config.optimizer
    if scheduler_in_force(rate) in _FALLING and rate.lr_end >= rate.learning_rate:
        reason = f"{rate.lr_end:g} must be below learning_rate ({rate.learning_rate:g}) for {rate.lr_scheduler}"
        yield source.problem("lr_end", reason, "lower lr_end or raise learning_rate")
    if rate.lr_scale_sqrt and not rate.lr_scale:
        yield source.problem("lr_scale_sqrt", "works with lr_scale only", 'add "lr_scale": true')


def _betas(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    betas = {"optimizer_beta1": config.optimizer.optimizer_beta1, "optimizer_beta2": config.optimizer.optimizer_beta2}
    missing = [key for key, value in betas.items() if value is None]
    if len(missing) == 1:
        given = next(key for key in betas if key not in missing)
        yield source.problem(given, f"is given without {missing[0]}", "give both or none")


def _texts(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    for parse, text in (
        (parse_resolutions, config.validation.validation_resolution),
        (trackers, config.report.report_to),
    ):
        try:
            parse(text)
        except ConfigError as error:
            yield source.problem(str(error.key), error.reason, error.cure)


def unread_notices(given: Iterable[str]) -> Iterator[str]:
    """One line for each reason why options that the user gave are not read."""
    by_reason: dict[str, list[str]] = {}
    for name in sorted(given):
        facts = facts_of(OPTIONS[name].declared)
        if not facts.reads:
            by_reason.setdefault(facts.unread, []).append(name)
    for reason, names in by_reason.items():
        yield f"not read: {', '.join(names)} ({reason})"


def notices(config: RunConfig, given: Collection[str]) -> Iterator[str]:
    """What the user should know of this configuration; ``given`` are the options they set."""
    yield from unread_notices(given)
    yield from optimizer_notices(config, given)
    yield from rate_notices(config, given)
    yield from precision_notices(config, given)
    yield from memory_notices(config, given)
    yield from checkpoint_notices(config, given)
    yield from machine_notices(config, given)
    yield from objective_notices(config, given)
    yield from publishing_notices(config, given)
    rate = config.optimizer
    if scheduler_in_force(rate) == "constant_with_warmup" != rate.lr_scheduler:
        yield f"lr_scheduler constant with {rate.lr_warmup_steps} warm-up steps is constant_with_warmup"
    idle = _idle(config, given)
    for reason, names in idle.items():
        if names:
            yield f"not read: {', '.join(names)} ({reason})"
    if config.validation.validation_image_format == "png" and "validation_image_quality" in given:
        yield "not read: validation_image_quality (png has no quality)"


def _idle(config: RunConfig, given: Collection[str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    if config.model.model_type == "full":
        reasons["model_type full has no adapter"] = _given_of(given, "adapter")
    else:
        others = [name for kind, names in _READ_BY.items() if kind != config.adapter.lora_type for name in names]
        reasons[f"lora_type is {config.adapter.lora_type}"] = [name for name in others if name in given]
    if not config.ema.use_ema:
        reasons["use_ema is off"] = [name for name in _given_of(given, "ema") if name != "use_ema"]
    if config.validation.validation_disable:
        names = _given_of(given, "validation")
        reasons["validation_disable is on"] = [name for name in names if name != "validation_disable"]
    return reasons


def _given_of(given: Collection[str], section: str) -> list[str]:
    return sorted(name for name in given if OPTIONS[name].section == section and facts_of(OPTIONS[name].declared).reads)
