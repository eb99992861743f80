from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from simpletuner.assemble.planning.figures import SeeingFigures
from simpletuner.assemble.planning.seeing import Eyes, measure_evaluation, measure_validation
from simpletuner.training.model import TrainedModel
from tests.assemble.planning.conftest import World


def test_pictures_of_every_size_with_the_base_models_once(world: World) -> None:
    found = measure_validation(world.eyes, 3)
    # The empty prompt and "a cat", at two sizes; the base model once, and live and averaged weights three times.
    assert [(size.size, size.count) for size in found.sizes] == [("64x64", 2 * 7), ("128x64", 2 * 7)]
    assert all(size.peak is not None and size.each > 0 for size in found.sizes)
    assert found.seconds == pytest.approx(sum(size.each * size.count for size in found.sizes))


def test_a_run_that_draws_nothing(world: World) -> None:
    config = world.loaded.config
    silenced = config.model_copy(
        update={"validation": config.validation.model_copy(update={"validation_disable": True})}
    )
    stage = replace(world.ready.stage, loaded=replace(world.loaded, config=silenced))
    assert measure_validation(replace(world.eyes, stage=stage), 3) == SeeingFigures()


def test_evaluations_count_pictures_held_out_and_seen(world: World) -> None:
    found = measure_evaluation(world.eyes, 2)
    # Held out: one picture for the base model, then live and averaged twice; seen: one picture twice.
    assert sum(size.count for size in found.sizes) == (1 + 2 * 2) + 2
    assert found.times == 2
    assert all(size.peak is not None and size.each > 0 for size in found.sizes)
    assert measure_evaluation(world.eyes, 0) == SeeingFigures()


class Starved(TrainedModel):
    """Has no memory for any picture."""

    def forward(self, *_given: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")


def test_pictures_that_do_not_fit_are_told_and_cost_nothing(world: World) -> None:
    model = world.engine.model
    starved = Starved(model.family, model.denoiser, model.adapter, None)
    eyes: Eyes = replace(world.eyes, engine=replace(world.engine, model=starved))
    for found in (measure_validation(eyes, 1), measure_evaluation(eyes, 1)):
        assert found.sizes
        assert found.seconds == 0
        assert all(size.peak is None for size in found.sizes)
