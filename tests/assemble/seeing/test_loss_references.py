"""What losses are held against, from the latents of a real data set."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.seeing.loss_references import FILE, Collection, measured, meter_of, tell_references
from simpletuner.core.events import Event, Notice
from simpletuner.core.samples import Use
from simpletuner.diffusion.timesteps import LogitNormal
from simpletuner.training.objectives.losses import Loss
from simpletuner.training.objectives.objective import PLAIN, Objective
from tests.runs.conftest import lay_out
from tests.runs.data_words import training_data

CELL = 8


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingData:
    """Five pictures of 64 px, cached."""
    monkeypatch.chdir(lay_out(tmp_path))
    return training_data()


def collection(data: TrainingData) -> Collection:
    return Collection(data.datasets, CELL)


def test_sizes_are_those_of_the_latents(data: TrainingData) -> None:
    pictures = collection(data)
    assert pictures.sizes() == Counter({(8, 8): 5})
    for made in data.datasets:
        for entry in made.arrangement(0).entries:
            assert pictures.size(Use(entry.sample, 0)) == data.latents(Use(entry.sample, 0)).mean.shape[1:]
    assert len(list(pictures.pictures())) == 5
    assert len(list(pictures.pictures(3, (8, 8)))) == 3
    assert list(pictures.pictures(3, (8, 16))) == []


def test_the_variance_is_that_of_what_is_trained_on(data: TrainingData) -> None:
    found = measured(collection(data))
    assert found is not None
    rows = torch.stack([latents.mean for latents, _ in collection(data).pictures()])
    spread = torch.stack([latents.logvar.exp() for latents, _ in collection(data).pictures()]).mean()
    within = (rows - rows.mean(dim=(0, 2, 3), keepdim=True)).square().mean()
    assert found.variance == pytest.approx(1 + float(within + spread), rel=1e-4)
    assert found.linear.at((8, 8), 0.5) is None, "five pictures have no spectrum"
    assert measured(Collection([], CELL)) is None


def test_latents_that_are_not_kept_are_not_made_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lay_out(tmp_path))
    data = training_data(vae_cache_ondemand=True)
    assert measured(collection(data)) is None
    assert measured(collection(data), even_on_demand=True) is not None
    assert meter_of(PLAIN, data.datasets, CELL).variance is None


def test_only_a_plain_squared_error_is_comparable(data: TrainingData) -> None:
    assert meter_of(PLAIN, data.datasets, CELL).comparable("flat")
    assert not meter_of(PLAIN, data.datasets, CELL).comparable("another")
    assert not meter_of(Objective(loss=Loss("huber")), data.datasets, CELL).comparable("flat")


def test_references_are_told_and_kept_by_sigma(data: TrainingData, tmp_path: Path) -> None:
    told: list[Event] = []
    meter = meter_of(PLAIN, data.datasets, CELL)
    tell_references(collection(data), meter, LogitNormal(), 6, tmp_path, told.append)
    (notice,) = told
    assert isinstance(notice, Notice)
    assert f"the best constant {meter.variance:.4f}, the optimum on 5 of 5 training pictures" in notice.text
    kept = json.loads((tmp_path / FILE).read_text())
    assert kept["size"] == [64, 64]
    assert len(kept["sigmas"]) == len(kept["optimum"]) == len(kept["optimum_se"]) == 6
    assert all(0 <= loss < meter.variance for loss in kept["optimum"] if math.isfinite(loss))
