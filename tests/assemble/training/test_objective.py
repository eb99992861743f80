"""From options to what is minimised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from simpletuner.assemble.training.objective import masks_in_use, objective_of
from simpletuner.core.samples import SampleId, Use
from simpletuner.diffusion.timesteps import Beta, Law, Listed, LogitNormal, Uniform, Weighted
from simpletuner.models.omnigen.layers import FACTS
from simpletuner.training.objectives.losses import Loss
from simpletuner.training.objectives.objective import PLAIN, Objective, Timesteps
from simpletuner.training.objectives.perturbation import InputPerturbation
from simpletuner.training.objectives.reflexflow import ReflexFlow
from simpletuner.training.objectives.rollout import Ramp, Rollout
from tests.assemble.conftest import dataset, loaded_run, write_scenes


def objective(root: Path, **options: Any) -> Objective:
    write_scenes(root / "cats", ["a.png"])
    return objective_of(loaded_run(root, [dataset("cats")], **options), FACTS)


def test_nothing_asked_for_is_plain_flow_matching(tmp_path: Path) -> None:
    assert objective(tmp_path) == PLAIN


@pytest.mark.parametrize(
    ("options", "law"),
    [
        ({"flow_sigmoid_scale": 2}, LogitNormal(2.0)),
        ({"flow_use_uniform_schedule": True}, Uniform()),
        ({"flow_use_beta_schedule": True, "flow_beta_schedule_beta": 5}, Beta(2.0, 5.0)),
        ({"flow_custom_timesteps": "250,750"}, Listed((0.25, 0.75))),
        ({"flow_cubic_schedule_weights": "[1, 2, 4]"}, Weighted((4.0, 2.0, 1.0))),
    ],
)
def test_laws_of_sigma(tmp_path: Path, options: dict[str, object], law: Law) -> None:
    """The weights of a cubic density run along OmniGen's clock, which begins at noise."""
    assert objective(tmp_path, **options).timesteps == Timesteps(law)
    assert objective(tmp_path, **options, flow_stratified_timesteps=True).timesteps == Timesteps(law, stratified=True)


def test_weights_lie_as_given_for_a_family_whose_clock_begins_at_the_image(tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png"])
    loaded = loaded_run(tmp_path, [dataset("cats")], flow_cubic_schedule_weights="1,2,4")
    facts = replace(FACTS, clock_begins_at_noise=False)
    assert objective_of(loaded, facts).timesteps.law == Weighted((1.0, 2.0, 4.0))


@pytest.mark.parametrize("even", [False, True])
def test_a_data_set_with_an_offset_has_a_law_of_its_own(tmp_path: Path, even: bool) -> None:
    for folder in ("cats", "dogs", "birds"):
        write_scenes(tmp_path / folder, ["a.png"])
    sets = [
        dataset("cats", timestep_sampling_offset=-0.5),
        dataset("dogs", timestep_sampling_offset=0),
        dataset("birds"),
    ]
    loaded = loaded_run(tmp_path, sets, flow_sigmoid_scale=2, flow_stratified_timesteps=even)
    found = objective_of(loaded, FACTS).timesteps
    assert found == Timesteps(LogitNormal(2.0), stratified=even, own={"cats": LogitNormal(2.0, -0.5)})
    assert [found.law_of(name).quantile(0.5) for name in ("dogs", "birds")] == [0.5, 0.5]
    assert found.law_of("cats").quantile(0.5) < 0.4


def test_round_robin_counts_the_list(tmp_path: Path) -> None:
    found = objective(tmp_path, flow_custom_timesteps="0.1,0.2,0.3", flow_timesteps_mode="round-robin")
    assert found.timesteps == Timesteps(Listed((0.1, 0.2, 0.3)), turns=3)


def test_loss_and_perturbation(tmp_path: Path) -> None:
    found = objective(tmp_path, loss_type="huber", huber_c=0.3, huber_schedule="constant", input_perturbation=0.1)
    assert (found.loss, found.perturbation) == (Loss("huber", 0.3, "constant"), InputPerturbation(0.1, 0))
    assert found.rollout is None


SAMPLING = {"scheduled_sampling_max_step_offset": 6, "scheduled_sampling_probability": 0.25}


def test_a_roll_out_without_a_ramp_is_reflexflows(tmp_path: Path) -> None:
    found = objective(tmp_path, **SAMPLING).rollout
    assert found is not None
    assert found == Rollout(6, Ramp(0.25, 0.25), reflex=ReflexFlow(1.0, 10.0, 1.0))
    shared = loaded_run(tmp_path, [dataset("cats")], **SAMPLING)
    assert objective_of(shared, FACTS, lockstep=True).rollout == replace(found, lockstep=True)


def test_every_option_of_a_roll_out_arrives(tmp_path: Path) -> None:
    options = {
        "strategy": "biased_late", "timesteps": 20, "ramp_steps": 100, "start_step": 10, "prob_start": 0.1,
        "prob_end": 0.9, "ramp_shape": "cosine", "reflexflow_alpha": 2, "reflexflow_beta1": 3, "reflexflow_beta2": 4,
    }  # fmt: skip
    named = {f"scheduled_sampling_{name}": value for name, value in options.items()}
    found = objective(tmp_path, **SAMPLING, **named).rollout
    ramp = Ramp(0.1, 0.9, first=10, steps=100, shape="cosine")
    assert found == Rollout(6, ramp, "biased_late", 20, ReflexFlow(2.0, 3.0, 4.0))
    without = objective(tmp_path, **SAMPLING, scheduled_sampling_reflexflow=False).rollout
    assert without is not None
    assert without.reflex is None


@pytest.mark.parametrize(("kind", "share"), [("segmentation", 0.3), ("mask", 1.0)])
def test_only_segmentations_count_by_chance_and_each_use_has_its_own(tmp_path: Path, kind: str, share: float) -> None:
    for folder in ("cats", "masks"):
        write_scenes(tmp_path / folder, ["a.png"])
    masks = dataset("masks", dataset_type="conditioning", conditioning_type=kind)
    loaded = loaded_run(tmp_path, [dataset("cats", conditioning_data="masks"), masks], masked_loss_probability=0.3)

    def whole(use: Use) -> Tensor | None:
        return torch.ones(1, 8, 8) * use.visit

    read = masks_in_use(loaded, 42, whole)
    uses = [Use(SampleId("cats", "a.png"), visit) for visit in range(1000)]
    kept = [use for use in uses if read(use) is not None]
    assert len(kept) / len(uses) == pytest.approx(share, abs=0.04)
    assert [use for use in uses if read(use) is not None] == kept
    last = read(kept[-1])
    assert last is not None
    assert last.max() == kept[-1].visit
