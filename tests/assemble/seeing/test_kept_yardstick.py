"""What losses are held against, kept where the windows of the first epoch go."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.seeing.kept_yardstick import FILE, keep_yardstick, kept_yardstick, key_of, read_kept
from simpletuner.assemble.seeing.loss_references import Collection, keep_meter, meter_of, tell_references
from simpletuner.core.events import Event
from simpletuner.diffusion.references.linear import LinearReference
from simpletuner.diffusion.references.yardstick import Yardstick
from simpletuner.diffusion.timesteps import LogitNormal
from simpletuner.training.objectives.objective import PLAIN
from tests.runs.conftest import lay_out
from tests.runs.data_words import dataloader, dataset, entries, folder, training_data

FOUND = Yardstick(1.5, LinearReference({(8, 16): torch.linspace(0, 1, 257, dtype=torch.float64) / 3}))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingData:
    """Five pictures, cropped anew in each epoch."""
    monkeypatch.chdir(lay_out(tmp_path))
    folder("pictures", {f"{name}.png": (200, 100) for name in "abcde"})
    dataloader(dataset(crop_style="random"))
    return training_data()


def test_what_is_kept_comes_back_to_the_bit(tmp_path: Path) -> None:
    keep_yardstick(tmp_path, "these", FOUND)
    found = kept_yardstick(tmp_path, "these")
    assert found is not None
    assert found.variance == FOUND.variance
    assert found.linear.tables.keys() == FOUND.linear.tables.keys()
    assert found.linear.tables[8, 16].equal(FOUND.linear.tables[8, 16])


def test_what_was_measured_on_others_does_not(tmp_path: Path) -> None:
    assert kept_yardstick(tmp_path, "these") is None
    keep_yardstick(tmp_path, "these", FOUND)
    assert kept_yardstick(tmp_path, "others") is None
    assert kept_yardstick(tmp_path, None) is None
    for text in ("{", "[]"):
        (tmp_path / FILE).write_text(text)
        assert read_kept(tmp_path / FILE) == {}
        assert kept_yardstick(tmp_path, "these") is None


def test_the_key_is_that_of_the_latents(data: TrainingData) -> None:
    (made,) = data.datasets
    places = [(made, entry) for entry in made.arrangement(0).entries]
    assert key_of(places) == key_of(list(places)) is not None
    assert key_of(places) != key_of(places[1:])
    assert key_of(places) != key_of([(made, entry) for entry in made.arrangement(1).entries])


def test_a_meter_and_what_is_told_need_no_latent_the_second_time(data: TrainingData, tmp_path: Path) -> None:
    told: list[Event] = []
    collection = Collection(data.datasets, 8)
    meter = meter_of(PLAIN, data.datasets, 8, tmp_path)
    keep_meter(meter, data.datasets, 8, tmp_path)
    tell_references(collection, meter, LogitNormal(), 6, tmp_path, told.append)
    for entry in entries():
        entry.unlink()
    again = meter_of(PLAIN, data.datasets, 8, tmp_path)
    assert again.variance == meter.variance
    tell_references(collection, again, LogitNormal(), 6, tmp_path, told.append)
    assert told[0] == told[1]
    assert entries() == {}
    tell_references(collection, again, LogitNormal(), 5, tmp_path, told.append)
    assert len(entries()) == 5, "other noise levels are measured"


def test_windows_that_stay_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lay_out(tmp_path))
    data = training_data()
    keep_meter(meter_of(PLAIN, data.datasets, 8, tmp_path), data.datasets, 8, tmp_path)
    assert not (tmp_path / FILE).exists()
