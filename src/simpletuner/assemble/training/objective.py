"""What a run minimises, from its options."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from torch import Tensor

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.load import LoadedRun
from simpletuner.config.rules.objective import is_rolled_out
from simpletuner.config.sections.objective import ObjectiveConfig
from simpletuner.config.sections.rollout import RolloutConfig
from simpletuner.config.sections.timesteps import FlowConfig, cubic_weights, custom_sigmas
from simpletuner.core.samples import Use
from simpletuner.diffusion.timesteps import Beta, Law, Listed, LogitNormal, Uniform, Weighted
from simpletuner.models.facts import FamilyFacts
from simpletuner.training import draws
from simpletuner.training.objectives.losses import Loss
from simpletuner.training.objectives.objective import Objective, Timesteps
from simpletuner.training.objectives.perturbation import InputPerturbation
from simpletuner.training.objectives.reflexflow import ReflexFlow
from simpletuner.training.objectives.rollout import Ramp, Rollout

Masks = Callable[[Use], Tensor | None]


def objective_of(loaded: LoadedRun, facts: FamilyFacts, *, lockstep: bool = False) -> Objective:
    """The objective that the options describe; ``lockstep`` as in :class:`~.training.objectives.rollout.Rollout`."""
    config, asked = loaded.config, loaded.config.objective
    return Objective(
        loss=Loss(asked.loss_type, asked.huber_c, asked.huber_schedule),
        timesteps=_timesteps(config.flow, facts, loaded.datasets),
        rollout=_rollout(config.rollout, lockstep=lockstep),
        perturbation=_perturbation(asked),
    )


def _timesteps(flow: FlowConfig, facts: FamilyFacts, datasets: Iterable[DatasetConfig]) -> Timesteps:
    law = _law(flow, facts)
    in_turn = isinstance(law, Listed) and flow.flow_timesteps_mode == "round-robin"
    turns = len(law.sigmas) if isinstance(law, Listed) and in_turn else 0
    return Timesteps(law, flow.flow_stratified_timesteps, turns, _moved(law, datasets))


def _moved(law: Law, datasets: Iterable[DatasetConfig]) -> dict[str, Law]:
    """The laws of data sets with an offset. Only the logit-normal law can be moved; the configuration saw to it."""
    offsets = {dataset.id: dataset.timestep_sampling_offset for dataset in datasets}
    return {
        name: replace(law, location=offset)
        for name, offset in offsets.items()
        if offset and isinstance(law, LogitNormal)
    }


def _law(flow: FlowConfig, facts: FamilyFacts) -> Law:
    if flow.flow_custom_timesteps is not None:
        return Listed(custom_sigmas(flow.flow_custom_timesteps))
    if flow.flow_cubic_schedule_weights is not None:
        weights = cubic_weights(flow.flow_cubic_schedule_weights)
        # Weights are given along the family's own clock (SPEC 2.9).
        return Weighted(weights[::-1] if facts.clock_begins_at_noise else weights)
    if flow.flow_use_beta_schedule:
        return Beta(flow.flow_beta_schedule_alpha, flow.flow_beta_schedule_beta)
    return Uniform() if flow.flow_use_uniform_schedule else LogitNormal(flow.flow_sigmoid_scale)


def _rollout(config: RolloutConfig, *, lockstep: bool) -> Rollout | None:
    if not is_rolled_out(config):
        return None
    return Rollout(
        longest=config.scheduled_sampling_max_step_offset,
        probability=_ramp(config),
        strategy=config.scheduled_sampling_strategy,
        timesteps=config.scheduled_sampling_timesteps,
        reflex=_reflexflow(config),
        lockstep=lockstep,
    )


def _ramp(config: RolloutConfig) -> Ramp:
    if not config.scheduled_sampling_ramp_steps:
        return Ramp(config.scheduled_sampling_probability, config.scheduled_sampling_probability)
    return Ramp(
        start=config.scheduled_sampling_prob_start,
        end=config.scheduled_sampling_prob_end,
        first=config.scheduled_sampling_start_step,
        steps=config.scheduled_sampling_ramp_steps,
        shape=config.scheduled_sampling_ramp_shape,
    )


def _reflexflow(config: RolloutConfig) -> ReflexFlow | None:
    if config.scheduled_sampling_reflexflow is False:
        return None
    return ReflexFlow(
        alpha=config.scheduled_sampling_reflexflow_alpha,
        beta1=config.scheduled_sampling_reflexflow_beta1,
        beta2=config.scheduled_sampling_reflexflow_beta2,
    )


def _perturbation(config: ObjectiveConfig) -> InputPerturbation | None:
    if config.input_perturbation == 0:
        return None
    return InputPerturbation(config.input_perturbation, config.input_perturbation_steps)


def masks_in_use(loaded: LoadedRun, seed: int, masks: Masks) -> Masks:
    """``masks``, of which those of type ``segmentation`` count with ``masked_loss_probability`` at each use (SPEC 9.1).

    A picture whose mask does not count is trained in full.
    """
    probability = loaded.config.objective.masked_loss_probability
    kinds = {dataset.id: dataset.conditioning_type for dataset in loaded.datasets}
    segmented = {
        dataset.id
        for dataset in loaded.datasets
        if any(kinds.get(name) == "segmentation" for name in dataset.conditioning_data)
    }

    def read(use: Use) -> Tensor | None:
        by_chance = probability < 1 and use.sample.dataset in segmented
        return None if by_chance and not draws.keeps_mask(seed, use, probability) else masks(use)

    return read
