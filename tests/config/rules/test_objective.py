"""Options of loss, timesteps and scheduled sampling: what goes together, what does not, and what is told."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from simpletuner.config.rules.objective import is_rolled_out
from simpletuner.config.sections.rollout import RolloutConfig
from simpletuner.config.sections.timesteps import FlowConfig, cubic_weights, custom_sigmas, laws_asked_for
from simpletuner.core.errors import ConfigError

LAWS: dict[str, object] = {
    "flow_use_uniform_schedule": True,
    "flow_use_beta_schedule": "yes",
    "flow_cubic_schedule_weights": "1,2,1",
    "flow_custom_timesteps": "0.1,0.9",
}
SAMPLED = {"scheduled_sampling_max_step_offset": 5, "scheduled_sampling_probability": 1}


def refused(project: Any, **options: object) -> str:
    project.set(**options)
    with pytest.raises(ConfigError) as caught:
        project.load()
    return str(caught.value)


@pytest.mark.parametrize(("one", "other"), [*combinations(LAWS, 2)])
def test_two_laws_of_sigma_are_an_error_that_names_both(project: Any, one: str, other: str) -> None:
    told = refused(project, **{one: LAWS[one], other: LAWS[other]})
    assert f"{other}: says how sigma is drawn, and so does {one} cure: keep one of them" in " ".join(told.split())


@pytest.mark.parametrize("law", LAWS)
def test_one_law_alone_is_read_with_or_without_strata(project: Any, law: str) -> None:
    project.set(**{law: LAWS[law], "flow_stratified_timesteps": True})
    assert laws_asked_for(project.load().config.flow) == (law,)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"flow_cubic_schedule_weights": "1,-2"}, "flow_cubic_schedule_weights: '1,-2': weights are not negative"),
        ({"flow_cubic_schedule_weights": [0, 0]}, "one at least is above 0"),
        ({"flow_cubic_schedule_weights": "much"}, "'much' is not a number"),
        ({"flow_custom_timesteps": "0.5,-1"}, "timesteps within 0 and 1000"),
        ({"flow_custom_timesteps": "500,1001"}, "flow_custom_timesteps: '500,1001'"),
        (
            {"flow_custom_timesteps": "0.5", "flow_timesteps_mode": "round-robin", "flow_stratified_timesteps": True},
            "flow_timesteps_mode: round-robin says whose turn it is, and so does flow_stratified_timesteps",
        ),
        ({"flow_sigmoid_scale": 0}, "must be above 0"),
        ({"loss_type": "l1"}, "unknown value 'l1'; allowed: l2, huber, smooth_l1"),
        ({"huber_c": 0}, "huber_c: '0.0' is out of range"),
        ({"masked_loss_probability": 1.5}, "must be at most 1"),
        ({"input_perturbation": -0.1}, "must be at least 0"),
        ({"timestep_bias_portion": 2}, "timestep_bias_portion: '2.0' is out of range: it must be at most 1"),
        (
            {"scheduled_sampling_max_step_offset": 30, "scheduled_sampling_timesteps": 20},
            "30 is more than the 20 steps from noise to picture",
        ),
        ({"scheduled_sampling_prob_end": 1.01}, "must be at most 1"),
        ({"scheduled_sampling_strategy": "late"}, "allowed: uniform, biased_early, biased_late"),
    ],
)
def test_what_cannot_be(project: Any, options: dict[str, object], told: str) -> None:
    assert told in refused(project, **options)


def test_numbers_as_people_write_them() -> None:
    assert cubic_weights("1, 2,4") == cubic_weights("[1, 2.0, 4]") == (1, 2, 4)
    assert cubic_weights("[]") == ()
    assert custom_sigmas("0, 0.25,1") == (0, 0.25, 1)
    assert custom_sigmas("0,250,1000") == (0, 0.25, 1), "one above 1 makes them all timesteps"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"huber_c": 0.2, "huber_schedule": "constant"}, "not read: huber_c, huber_schedule (loss_type is l2)"),
        ({"input_perturbation_steps": 9}, "not read: input_perturbation_steps (input_perturbation is 0)"),
        (
            {"flow_sigmoid_scale": 1.5, "flow_use_uniform_schedule": True},
            "not read: flow_sigmoid_scale (flow_use_uniform_schedule says how sigma is drawn)",
        ),
        ({"flow_beta_schedule_alpha": 3}, "not read: flow_beta_schedule_alpha (flow_use_beta_schedule is off)"),
        ({"flow_timesteps_mode": "fixed-list"}, "not read: flow_timesteps_mode (there are no flow_custom_timesteps)"),
        (
            {"scheduled_sampling_probability": 1.0, "scheduled_sampling_reflexflow": True},
            "not read: scheduled_sampling_probability, scheduled_sampling_reflexflow "
            "(scheduled_sampling_max_step_offset is 0)",
        ),
        (
            {"scheduled_sampling_max_step_offset": 5},
            "not read: scheduled_sampling_max_step_offset (the chance of a roll-out is 0)",
        ),
        (
            SAMPLED | {"scheduled_sampling_ramp_steps": 9},
            "not read: scheduled_sampling_probability (the ramp says how often)",
        ),
        (
            SAMPLED | {"scheduled_sampling_prob_end": 1},
            "not read: scheduled_sampling_prob_end (there are no scheduled_sampling_ramp_steps)",
        ),
        (
            SAMPLED,
            "scheduled sampling: up to 5 forward passes more in each micro-batch, without a backward pass",
        ),
    ],
)
def test_what_rests_and_what_it_costs_is_told(project: Any, options: dict[str, object], told: str) -> None:
    project.set(**options)
    assert told in project.load().notices


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("snr_gamma", 5, "for a flow there is flow_cubic_schedule_weights"),
        ("use_soft_min_snr", True, "for a flow there is flow_cubic_schedule_weights"),
        ("soft_min_snr_sigma_data", 1.0, "for a flow there is flow_cubic_schedule_weights"),
        ("offset_noise", True, "a flow runs from the picture to plain noise"),
        ("noise_offset", 0.1, "a flow runs from the picture to plain noise"),
        ("noise_offset_probability", 0.25, "a flow runs from the picture to plain noise"),
        ("timestep_bias_strategy", "later", "a flow has no list of timesteps"),
        ("timestep_bias_multiplier", 2, "a flow has no list of timesteps"),
        ("disable_segmented_timestep_sampling", True, "use flow_stratified_timesteps"),
        ("scheduled_sampling_sampler", "unipc", "a roll-out takes the Euler steps"),
        ("scheduled_sampling_order", 2, "a roll-out takes the Euler steps"),
        ("flow_schedule_shift", 3, "no schedule shift applies"),
    ],
)
def test_what_makes_no_sense_for_a_flow_is_told_with_the_reason(
    project: Any, option: str, value: object, why: str
) -> None:
    project.set(**{option: value})
    assert [notice for notice in project.load().notices if option in notice and why in notice]


def test_a_ramp_decides_even_where_it_begins_or_ends_at_nothing() -> None:
    def asked(**options: float) -> bool:
        return is_rolled_out(RolloutConfig(**{f"scheduled_sampling_{name}": value for name, value in options.items()}))

    assert asked(max_step_offset=5, probability=0.1)
    assert asked(max_step_offset=5, ramp_steps=10)
    assert asked(max_step_offset=5, ramp_steps=10, prob_start=1, prob_end=0)
    assert not asked(max_step_offset=5, ramp_steps=10, prob_start=0, prob_end=0, probability=1)
    assert not asked(max_step_offset=5)
    assert not asked(probability=1)


def test_without_a_choice_sigma_is_logit_normal() -> None:
    assert laws_asked_for(FlowConfig()) == ()
