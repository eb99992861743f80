"""What follows from the options of loss, timesteps and scheduled sampling together. All pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import combinations

from simpletuner.config.option import facts_of
from simpletuner.config.reading.fill import Source
from simpletuner.config.run import RunConfig
from simpletuner.config.sections.rollout import RolloutConfig
from simpletuner.config.sections.timesteps import FlowConfig, cubic_weights, custom_sigmas, laws_asked_for
from simpletuner.core.errors import ConfigError

_BETAS = ("flow_beta_schedule_alpha", "flow_beta_schedule_beta")
_HUBER = ("huber_c", "huber_schedule")
_RAMP = tuple(f"scheduled_sampling_{name}" for name in ("start_step", "prob_start", "prob_end", "ramp_shape"))
_REFLEXFLOW = tuple(f"scheduled_sampling_reflexflow_{name}" for name in ("alpha", "beta1", "beta2"))


def is_rolled_out(rollout: RolloutConfig) -> bool:
    """Whether scheduled sampling ever happens. A ramp decides alone, even where it starts or ends at 0."""
    chances = (
        (rollout.scheduled_sampling_prob_start, rollout.scheduled_sampling_prob_end)
        if rollout.scheduled_sampling_ramp_steps
        else (rollout.scheduled_sampling_probability,)
    )
    return rollout.scheduled_sampling_max_step_offset > 0 and any(chances)


def objective_problems(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    """Contradictions between the options of loss, timesteps and scheduled sampling."""
    flow = config.flow
    for one, other in combinations(laws_asked_for(flow), 2):
        yield source.problem(other, f"says how sigma is drawn, and so does {one}", "keep one of them")
    if flow.flow_stratified_timesteps and flow.flow_timesteps_mode == "round-robin":
        reason = "round-robin says whose turn it is, and so does flow_stratified_timesteps"
        yield source.problem("flow_timesteps_mode", reason, "keep one of them")
    yield from _unreadable(source, "flow_cubic_schedule_weights", cubic_weights, flow.flow_cubic_schedule_weights)
    yield from _unreadable(source, "flow_custom_timesteps", custom_sigmas, flow.flow_custom_timesteps)
    offset, steps = (
        config.rollout.scheduled_sampling_max_step_offset,
        config.rollout.scheduled_sampling_timesteps,
    )
    if offset > steps:
        reason = f"{offset} is more than the {steps} steps from noise to picture (scheduled_sampling_timesteps)"
        yield source.problem("scheduled_sampling_max_step_offset", reason, f"use at most {steps}")


def _unreadable(source: Source, key: str, parse: Callable[[str], object], text: str | None) -> Iterator[ConfigError]:
    try:
        parse(text or "1")
    except ValueError as error:
        yield source.problem(key, str(error), "numbers between commas")


def objective_notices(config: RunConfig, given: Collection[str]) -> Iterator[str]:
    """Options of these that nothing reads, and what scheduled sampling costs; ``given`` are the options set."""
    for reason, names in (_idle_losses(config) | _idle_laws(config.flow) | _idle_rollout(config.rollout)).items():
        if unread := [name for name in names if name in given]:
            yield f"not read: {', '.join(unread)} ({reason})"
    if is_rolled_out(config.rollout):
        longest = config.rollout.scheduled_sampling_max_step_offset
        yield f"scheduled sampling: up to {longest} forward passes more in each micro-batch, without a backward pass"


def _idle_losses(config: RunConfig) -> dict[str, tuple[str, ...]]:
    return {
        "loss_type is l2": _HUBER if config.objective.loss_type == "l2" else (),
        "input_perturbation is 0": () if config.objective.input_perturbation else ("input_perturbation_steps",),
    }


def _idle_laws(flow: FlowConfig) -> dict[str, tuple[str, ...]]:
    return {
        **{f"{name} says how sigma is drawn": ("flow_sigmoid_scale",) for name in laws_asked_for(flow)[:1]},
        "flow_use_beta_schedule is off": () if flow.flow_use_beta_schedule else _BETAS,
        "there are no flow_custom_timesteps": () if flow.flow_custom_timesteps else ("flow_timesteps_mode",),
    }


def _idle_rollout(rollout: RolloutConfig) -> dict[str, tuple[str, ...]]:
    fields = RolloutConfig.model_fields
    read = tuple(name for name, declared in fields.items() if facts_of(declared).reads)
    if rollout.scheduled_sampling_max_step_offset == 0:
        return {"scheduled_sampling_max_step_offset is 0": read[1:]}
    if not is_rolled_out(rollout):
        return {"the chance of a roll-out is 0": read}
    has_ramp = rollout.scheduled_sampling_ramp_steps > 0
    return {
        "the ramp says how often": ("scheduled_sampling_probability",) if has_ramp else (),
        "there are no scheduled_sampling_ramp_steps": () if has_ramp else _RAMP,
        "scheduled_sampling_reflexflow is off": _REFLEXFLOW if rollout.scheduled_sampling_reflexflow is False else (),
    }
