from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.samples import SampleId
from simpletuner.data.order.plan import PlannedDataset, plan_epoch
from simpletuner.data.order.shortages import Shortage, explain, oversubscribed, pruned_picture, shortages


def dataset(sizes: dict[str, int], batch: int, **options: Any) -> PlannedDataset:
    buckets = {key: tuple(SampleId("set", f"{key}/{n}") for n in range(count)) for key, count in sizes.items()}
    return PlannedDataset("set", buckets, **{"repeats": 0, "batch": batch, **options})


@pytest.mark.parametrize(
    ("micro_batch", "ranks", "accumulation", "requirement"),
    [(4, 8, 1, 32), (8, 2 * 8, 2, 256), (8, 4 * 8, 1, 256), (4, 4, 1, 16)],
)
def test_the_documented_requirements(micro_batch: int, ranks: int, accumulation: int, requirement: int) -> None:
    """SPEC 3.12's table: nodes x GPUs, batch, accumulation."""
    batch = micro_batch * ranks * accumulation
    assert batch == requirement
    assert shortages(dataset({"1.0": requirement}, batch)) == ()
    short = dataset({"1.0": requirement - 1}, batch)
    (found,) = shortages(short)
    assert (found.requirement, found.repeats_needed) == (requirement, 1)
    told = explain(short, found, ["a.png"], micro_batch, ranks, accumulation)
    assert f"{micro_batch} train_batch_size x {ranks} processes" in told
    assert f"{accumulation} gradient_accumulation_steps = {requirement}" in told


def test_25_pictures_on_8_gpus() -> None:
    short = dataset({"1.0": 25, "2.0": 40}, 32)
    (found,) = shortages(short)
    assert found == Shortage("1.0", samples=25, uses=25, requirement=32, repeats_needed=1)
    told = explain(short, found, ["a.png", "b.png"], 4, 8, 1)
    assert 'data set "set": bucket 1.0 cannot fill one update' in told
    assert "25 of the data set's 65 pictures: a.png, b.png and 23 more" in told
    assert "25 x (0 repeats + 1) = 25 uses" in told
    assert "trained all the same, in one short update of 25" in told
    assert "set repeats to 1 or more" in told
    assert "bucket_mixing" in told
    assert "switch allow_dataset_oversubscription on" in told
    assert shortages(dataset({"1.0": 25}, 32, repeats=1)) == ()


def test_oversubscription_does_not_override_manual_repeats() -> None:
    short = dataset({"1.0": 3}, 32, repeats=1, oversubscribe=True)
    (found,) = shortages(short)
    assert found == Shortage("1.0", samples=3, uses=6, requirement=32, repeats_needed=10)
    told = explain(short, found, ["a", "b", "c"], 32, 1, 1)
    assert "allow_dataset_oversubscription does not override repeats set by hand" in told
    assert "more pictures" not in told
    assert " and 0 more" not in told
    assert oversubscribed(short) == {}


def test_oversubscription_is_told_with_what_it_adds() -> None:
    filled = dataset({"1.0": 24, "2.0": 40, "0.5": 5}, 32, oversubscribe=True)
    assert oversubscribed(filled) == {"1.0": (8, 32 / 24), "0.5": (27, 32 / 5)}
    assert shortages(filled) == ()
    assert oversubscribed(dataset({"1.0": 24}, 32)) == {}


def test_a_pool_of_all_sizes_is_short_as_a_whole() -> None:
    assert shortages(dataset({"1.0": 20, "2.0": 20}, 32, mixing="pad")) == ()
    pooled = dataset({"1.0": 2, "2.0": 1}, 32, mixing="pad")
    (found,) = shortages(pooled)
    assert (found.bucket, found.samples) == ("mixed", 3)
    assert "bucket_mixing" not in explain(pooled, found, [], 32, 1, 1)


@given(st.integers(1, 40), st.integers(0, 4), st.integers(1, 64))
def test_the_repeats_advised_are_the_fewest_that_suffice(samples: int, repeats: int, batch: int) -> None:
    short = dataset({"1.0": samples}, batch, repeats=repeats)
    updates = plan_epoch([short], 1, 0)
    found = shortages(short)
    assert bool(found) == (len(updates) == 1 and len(updates[0].uses) < batch)
    for one in found:
        assert one.repeats_needed > repeats
        assert shortages(dataset({"1.0": samples}, batch, repeats=one.repeats_needed)) == ()
        assert shortages(dataset({"1.0": samples}, batch, repeats=one.repeats_needed - 1))


def mixing_cure(sizes: dict[str, int], **options: Any) -> str:
    short = dataset(sizes, 8, **options)
    told = explain(short, shortages(short)[0], ["a.png"], 8, 1, 1)
    return next((part for part in told.split("; or ") if "bucket_mixing" in part), "")


def test_mixing_is_advised_only_where_it_would_help() -> None:
    assert mixing_cure({"1.0": 3, "2.0": 9}) == "set bucket_mixing to merge or pad"
    merged = mixing_cure({"1.0": 3, "2.0": 9}, merged=True)
    assert merged.startswith("set bucket_mixing to pad, or raise max_upscale_threshold")
    assert mixing_cure({"1.0": 3}) == mixing_cure({"1.0": 3}, merged=True) == ""
    assert "bucket_mixing to merge or pad" in pruned_picture("a.png", "1.0", 3, 0, 8).cure
    assert "bucket_mixing" not in pruned_picture("a.png", "1.0", 3, 0, 8, alone=True).cure
