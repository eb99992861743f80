"""Every picture is used as often as was asked, whatever the buckets, weights and schedules."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.runs.conftest import Train, metrics
from tests.runs.data_words import adapter, command, dataloader, dataset, folder, report, same, training_data, uses

SQUARES = {f"square{place}.png": (64, 64) for place in range(4)}
ODD = {"wide.png": (192, 64), "tall.png": (64, 192), "broad.png": (128, 64)}


def mixed(**keys: object) -> None:
    """Four squares, and three pictures of which each has a bucket to itself."""
    folder("pictures", SQUARES | ODD)
    dataloader(dataset(crop=False, **keys))


def flat(names: dict[str, tuple[int, int]], count: int = 1) -> Counter[str]:
    return Counter({f"flat/{name}": count for name in names})


@pytest.mark.parametrize("repeats", [0, 2])
@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("mixing", ["bucket", "merge", "pad"])
def test_every_picture_is_used_as_often_as_asked(train: Train, mixing: str, repeats: int, accumulation: int) -> None:
    mixed(bucket_mixing=mixing, repeats=repeats)
    data = training_data(gradient_accumulation_steps=accumulation)
    for epoch in (0, 1):
        assert uses(data, epoch) == flat(SQUARES | ODD, repeats + 1)


@pytest.mark.parametrize("mixing", ["bucket", "merge", "pad"])
def test_each_way_of_mixing_trains(train: Train, mixing: str) -> None:
    mixed(bucket_mixing=mixing)
    assert train(max_train_steps=4) == 0
    (found,) = report()
    assert (found["files"], found["used"], found["dropped"]) == (7, 7, [])
    assert found["batches"] == {"bucket": 5, "merge": 4, "pad": 4}[mixing]
    assert [record["step"] for record in metrics(Path("output"))] == [1, 2, 3, 4]


def test_small_buckets_are_told_with_the_smallest_cure_and_trained(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed()
    assert train(max_train_steps=1) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "bucket 3.0 cannot fill one update" in told
    assert "1 x (0 repeats + 1) = 1 uses an epoch" in told
    assert "set repeats to 1 or more" in told


def test_merging_leaves_no_bucket_below_a_batch(train: Train) -> None:
    mixed(bucket_mixing="merge")
    sizes: Counter[str] = Counter()
    for update in training_data().plan(0):
        sizes[update.bucket] += len(update.uses)
    assert sum(sizes.values()) == 7
    assert min(sizes.values()) >= 2


def test_oversubscription_fills_small_buckets_and_says_so(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    mixed()
    data = training_data(allow_dataset_oversubscription="true", train_batch_size=3)
    assert uses(data) == flat(SQUARES) + flat(ODD, 3)
    assert train(max_train_steps=3, allow_dataset_oversubscription="true", train_batch_size=3) == 0
    assert "cannot fill one update" not in capsys.readouterr().out
    mixed(repeats=1)
    data = training_data(allow_dataset_oversubscription="true", train_batch_size=3)
    assert uses(data) == flat(SQUARES | ODD, 2), "repeats set by hand win"


def test_pruned_buckets_are_dropped_by_name_with_the_smallest_cure(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed()
    asked = {"disable_bucket_pruning": "false", "train_batch_size": 3}
    for name in ("train", "check"):
        assert command(name, max_train_steps=2, output_dir=name, **asked) == 0
        (found,) = report(name)
        assert (found["used"], sorted(item["file"] for item in found["dropped"])) == (4, sorted(ODD))
        wide = next(item for item in found["dropped"] if item["file"] == "wide.png")
        assert "bucket 3.0 has 1 pictures x (0 repeats + 1) = 1 uses, below train_batch_size 3" in wide["reason"]
        assert "set repeats to 2 or more" in wide["cure"]
    assert "left out wide.png: its bucket is pruned" in " ".join(capsys.readouterr().out.split())
    assert uses(training_data(**asked)) == flat(SQUARES)
    mixed(repeats=2)
    assert uses(training_data(**asked)) == flat(SQUARES | ODD, 3), "the cure cures"


@pytest.mark.parametrize("name", ["train", "cache", "check"])
def test_buckets_that_are_drawn_anew_are_not_pruned(
    train: Train, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder("pictures", SQUARES)
    shapes = {"crop_aspect": "random", "crop_aspect_buckets": [1.0, 0.5]}
    dataloader(dataset(**shapes))
    assert command(name, disable_bucket_pruning="false") == 2
    heard = capsys.readouterr()
    assert "crop_aspect random draws new buckets in every epoch" in " ".join((heard.out + heard.err).split())


def test_pruning_that_leaves_nothing_is_an_error(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    folder("pictures", ODD)
    dataloader(dataset(crop=False))
    for name in ("train", "cache", "check"):
        assert command(name, disable_bucket_pruning="false", train_batch_size=3) == 3
        heard = capsys.readouterr()
        told = " ".join((heard.out + heard.err).split())
        assert "its bucket is pruned" in told
        assert "set repeats to 2 or more" in told


def two(first: dict[str, object], second: dict[str, object]) -> None:
    """Two data sets of four pictures, one to an update."""
    for name in ("first", "second"):
        folder(name, SQUARES)
    dataloader(
        dataset(id="first", instance_data_dir="first", train_batch_size=1, **first),
        dataset(id="second", instance_data_dir="second", cache_dir_vae="cache/second", train_batch_size=1, **second),
    )


def order(steps: int, **options: object) -> list[str]:
    """The data set of each step."""
    data, found = training_data(**options), []
    for epoch in range(steps):
        found += [update.dataset for update in data.plan(epoch)]
        if len(found) >= steps:
            break
    return found[:steps]


def test_a_schedule_in_steps(train: Train) -> None:
    two({"end_step": 3}, {"start_step": 3})
    assert order(6) == ["first"] * 3 + ["second"] * 3
    assert train(max_train_steps=6) == 0
    records = metrics(Path("output"))
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]


def test_a_schedule_in_epochs(train: Train) -> None:
    two({"end_epoch": 1}, {"start_epoch": 2})
    assert order(8) == ["first"] * 4 + ["second"] * 4
    assert train(num_train_epochs=2, max_train_steps=0) == 0
    assert [record["epoch"] for record in metrics(Path("output"))] == [1] * 4 + [2] * 4


@pytest.mark.parametrize("kind", ["regularisation", "plain"])
def test_who_is_used_shows_in_the_records(train: Train, kind: str) -> None:
    two({"end_step": 2}, {"start_step": 2, "is_regularisation_data": kind == "regularisation"})
    assert train(max_train_steps=4) == 0
    held = ["regularisation_loss" in record for record in metrics(Path("output"))]
    assert held == ([False, False, True, True] if kind == "regularisation" else [False] * 4)


@pytest.mark.parametrize("name", ["train", "check"])
def test_a_gap_without_any_data_set_ends_before_training(
    train: Train, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    two({"end_step": 2}, {"start_step": 4})
    assert command(name, max_train_steps=6) == 2
    heard = capsys.readouterr()
    told = " ".join((heard.out + heard.err).split())
    assert "no data set is used for step 3 of the run" in told
    assert "first: steps 1 to 2" in told
    assert "max_train_steps 2" in told
    assert not Path("output/metrics.jsonl").exists() or metrics(Path("output")) == []
    assert not list(Path("output").glob("checkpoint-*"))
    assert train(max_train_steps=2) == 0, "the cure that was named"


def test_probabilities_share_the_updates(train: Train) -> None:
    two({"probability": 0.7, "repeats": 249}, {"probability": 0.3, "repeats": 249})
    drawn = Counter(order(1000, data_backend_sampling="uniform"))
    assert 650 < drawn["first"] < 750
    two({"probability": 0.7, "repeats": 49}, {"probability": 0.0, "repeats": 249})
    assert Counter(order(200, data_backend_sampling="uniform")) == Counter({"first": 200})


RESUMED = {
    "pad": ({"bucket_mixing": "pad"}, {}),
    "merge": ({"bucket_mixing": "merge"}, {}),
    "oversubscribed": ({}, {"allow_dataset_oversubscription": "true", "gradient_accumulation_steps": 2}),
    "two": ({"probability": 0.6, "end_step": 5}, {"data_backend_sampling": "uniform"}),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_resume_changes_nothing(train: Train, name: str) -> None:
    keys, options = RESUMED[name]
    mixed(**keys)
    if name == "two":
        folder("more", SQUARES)
        late = {"start_step": 2, "crop": False}
        dataloader(dataset(**keys), dataset(id="more", instance_data_dir="more", cache_dir_vae="cache/more", **late))
    how = {**options, "checkpoint_step_interval": 100}
    assert train(max_train_steps=8, output_dir="whole", **how) == 0
    for steps in (3, 6, 8):
        assert train(max_train_steps=steps, output_dir="parts", **how) == 0
    assert same(adapter("whole"), adapter("parts"))


def test_a_subset_is_the_same_in_every_run(train: Train) -> None:
    mixed(max_num_samples=3)
    one, other = uses(training_data()), uses(training_data(seed=7))
    assert len(one) == 3
    assert one == other
