"""Random crops that are new in each epoch, their cache, and a resume in the middle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from torch import Tensor

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.core.batch import Latents
from simpletuner.core.samples import Use
from simpletuner.data.cache import fill, ondemand
from simpletuner.data.cache.latents import ImageCodec, encode
from tests.runs.conftest import Train, metrics
from tests.runs.data_words import (
    adapter,
    command,
    dataloader,
    dataset,
    entries,
    facts,
    folder,
    same,
    samples,
    training_data,
)

SIZES = {f"{name}.png": (256, 200 + 8 * place) for place, name in enumerate("abcdef")}
Windows = dict[str, tuple[str, str, str]]


def wide(**keys: object) -> None:
    """Six pictures with much room for a crop."""
    folder("pictures", SIZES)
    dataloader(dataset(crop_style="random", **keys))


def windows() -> Windows:
    """The window of each picture's only entry."""
    assert set(samples().values()) == {1}
    return {found["sample"]: (found["target"], found["intermediary"], found["crop"]) for found in facts()}


def epoch(data: TrainingData, number: int) -> Windows:
    """The windows in the cache once an epoch has begun."""
    data.plan(number)
    return windows()


@pytest.mark.parametrize("asked", [None, True])
def test_each_epoch_has_windows_of_its_own_and_the_old_ones_go(train: Train, asked: bool | None) -> None:
    wide(**({} if asked is None else {"vae_cache_clear_each_epoch": asked}))
    data = training_data()
    found = [epoch(data, number) for number in range(4)]
    assert all(len(one) == 6 for one in found)
    for earlier, later in pairwise(found):
        assert sum(earlier[name] != later[name] for name in earlier) >= 4
    for entry in entries():
        entry.unlink()
    assert epoch(training_data(), 2) == found[2], "windows are those of the epoch, whatever came before"


def test_asked_to_the_windows_stay(train: Train) -> None:
    wide(vae_cache_clear_each_epoch=False)
    data = training_data()
    first = entries()
    for number in range(3):
        data.plan(number)
        assert entries() == first
    assert len(set(windows().values())) > 3, "they are random all the same"


@pytest.mark.parametrize("style", ["center", "corner"])
def test_fixed_crops_stay_where_they_are(train: Train, style: str) -> None:
    wide()
    dataloader(dataset(crop_style=style))
    data = training_data()
    first = entries()
    data.plan(1)
    assert entries() == first


def test_training_clears_as_it_goes(train: Train) -> None:
    wide()
    assert train(max_train_steps=8) == 0
    assert len(entries()) == 6
    assert {record["epoch"] for record in metrics(Path("output"))} == {1, 2, 3}


@pytest.mark.parametrize("kept", [True, False])
def test_random_shapes(train: Train, kept: bool) -> None:
    wide()
    shapes = {"crop_aspect": "random", "crop_aspect_buckets": [1.0, 0.5, 2.0]}
    dataloader(dataset(crop_style="center", resolution_type="pixel_area", resolution=128, **shapes))
    data = training_data(aspect_bucket_disable_rebuild=str(kept).lower(), train_batch_size=1)
    found = []
    for number in range(4):
        plan = data.plan(number)
        assert Counter(use.sample.path for update in plan for use in update.uses) == dict.fromkeys(SIZES, 1)
        found.append({use.sample.path: update.bucket for update in plan for use in update.uses})
    assert all(one == found[0] for one in found) == kept
    assert len(set(found[0].values())) > 1


@pytest.mark.parametrize("demand", ["false", "true"])
@pytest.mark.parametrize("shapes", [{}, {"crop_aspect": "random", "crop_aspect_buckets": [1.0, 0.5, 2.0]}])
def test_a_resume_in_the_middle_of_the_second_epoch_is_the_unbroken_run(
    train: Train, shapes: dict[str, object], demand: str
) -> None:
    wide(resolution_type="pixel_area", **shapes)
    how = {"vae_cache_ondemand": demand, "checkpoint_step_interval": 100}
    assert train(max_train_steps=10, output_dir="whole", **how) == 0
    for steps in (5, 8, 10):
        assert train(max_train_steps=steps, output_dir="parts", **how) == 0
    assert same(adapter("whole"), adapter("parts"))
    losses = [[record["train_loss"] for record in metrics(Path(name))] for name in ("whole", "parts")]
    assert losses[0] == losses[1]


def test_a_run_that_goes_on_late_leaves_no_entries_of_the_first_epoch(train: Train) -> None:
    wide()
    assert train(max_train_steps=13, checkpoint_step_interval=13) == 0
    late = entries().keys()
    assert train(max_train_steps=14) == 0
    assert entries().keys() == late
    assert train(max_train_steps=16) == 0
    assert len(entries()) == 6


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures the VAE takes at once, each time that it does."""
    heard: list[int] = []
    for module in (fill, ondemand):

        def listening(codec: ImageCodec, pixels: Sequence[Tensor]) -> list[Latents]:
            heard.append(len(pixels))
            return encode(codec, pixels)

        monkeypatch.setattr(module, "encode", listening)
    return heard


def test_a_resume_in_the_third_epoch_encodes_nothing_of_the_first(train: Train, encoded: list[int]) -> None:
    wide()
    assert train(max_train_steps=9, output_dir="whole") == 0
    assert 2 * 6 < sum(encoded) <= 3 * 6, "some window may be that of the epoch before"
    assert train(max_train_steps=8) == 0
    for steps in (9, 9):
        encoded.clear()
        assert train(max_train_steps=steps) == 0
        assert encoded == [], "what remains of the third epoch, and a run in which nothing remains"
    encoded.clear()
    assert train(max_train_steps=10) == 0
    assert 0 < sum(encoded) <= 6
    assert _lasting(metrics(Path("output")))[:9] == _lasting(metrics(Path("whole"))), (
        "also what losses are held against"
    )


def _lasting(records: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{key: record[key] for key in record if key not in ("step_seconds", "resumed_from")} for record in records]


def test_what_is_held_out_keeps_its_windows(train: Train, encoded: list[int]) -> None:
    wide()
    folder("held", {f"{name}.png": (96, 80) for name in "xy"})
    where = {"instance_data_dir": "held", "cache_dir_vae": "cache/held", "crop_style": "random"}
    dataloader(dataset(crop_style="random"), dataset(id="held", dataset_type="eval", **where))
    data, ready = training_data(eval_steps_interval=4), entries("cache/held")
    data.plan(2)
    assert entries("cache/held") == ready
    encoded.clear()
    (held,) = data.evaluated
    for entry in held.arrangement(0).entries:
        held.latents(Use(entry.sample, 0))
    assert encoded == []


def test_caching_is_for_the_epoch_that_training_goes_on_with(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    wide()
    assert train(max_train_steps=8) == 0
    ready = entries()
    capsys.readouterr()
    assert command("cache", max_train_steps=9) == 0
    assert "0 made, 6 there already" in capsys.readouterr().out
    assert command("cache", "--prune", max_train_steps=9) == 0
    assert entries() == ready
    assert command("cache", "--explain", str(next(iter(ready))), max_train_steps=9) == 0
    assert "is used" in capsys.readouterr().out
    assert command("cache", output_dir="fresh") == 0
    assert len(entries()) == 12, "another run begins with its first epoch"


def test_on_demand_epochs_clear_too(train: Train) -> None:
    wide()
    assert train(max_train_steps=9, vae_cache_ondemand="true") == 0
    assert len(entries()) == 6


def test_faces_need_no_face(train: Train) -> None:
    wide()
    dataloader(dataset(crop_style="face"))
    assert command("cache") == 0
    assert len(entries()) == 6
