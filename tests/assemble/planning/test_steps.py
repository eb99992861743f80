from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from simpletuner.assemble.planning.figures import Shape
from simpletuner.assemble.planning.shapes import Found
from simpletuner.assemble.planning.steps import measure_shape, seconds_of
from simpletuner.core.samples import Update, Use
from tests.assemble.planning.conftest import World
from tests.training.test_loop import SAMPLES
from tests.training.test_update import narrow

UPDATE = Update("d", "1.0", tuple(Use(sample, 0) for sample in SAMPLES[:4]))
FOUND = Found(Shape("d", "1.0", "16x16", 4, 4, 1, 1, 4, 5, 0), UPDATE, UPDATE)


def test_a_shape_of_a_real_run(world: World) -> None:
    figures = measure_shape(world.engine, world.ready.found[0], world.ready.length.steps)
    assert (figures.fits, figures.is_cut, figures.said) == (True, False, "")
    assert figures.seconds is not None
    assert figures.first is not None
    assert 0 < figures.seconds < 60
    assert 1 <= figures.timed <= 5
    # Python, torch and the tiny model.
    assert figures.peak.used > 100_000_000


@pytest.mark.parametrize(("most", "at_once"), [(4, 4), (3, 2), (1, 1), (0, 0)])
def test_memory_that_runs_out_is_a_figure(most: int, at_once: int) -> None:
    engine = narrow(most)
    engine = replace(engine, slices=lambda update: [update.uses])
    figures = measure_shape(engine, FOUND, 10)
    assert figures.at_once == at_once
    assert (figures.seconds is None) == (at_once == 0)
    told = {4: "", 2: "2 of 4 pictures at once", 1: "1 of 4 pictures at once"}
    assert figures.said == told.get(at_once, figures.said)
    if at_once == 0:
        assert "do not fit into memory: CUDA out of memory" in figures.said
        assert all(parameter.grad is None for parameter in engine.model.parameters())


def test_a_bug_is_no_figure() -> None:
    engine = replace(narrow(4), slices=lambda update: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        measure_shape(engine, FOUND, 10)


def test_seconds_are_those_of_the_work() -> None:
    done: list[int] = []
    assert 0 <= seconds_of(torch.device("cpu"), lambda: done.append(1)) < 10
    assert done == [1]
