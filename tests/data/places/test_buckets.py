from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.places.buckets import merge_small, prune


@pytest.mark.parametrize(
    ("counts", "joined"),
    [
        ({"1.0": 8, "1.5": 9}, {}),
        ({"1.0": 8, "1.5": 1}, {"1.5": "1.0"}),
        ({"0.5": 8, "1.0": 3, "1.5": 8}, {"1.0": "1.5"}),
        ({"0.8": 8, "1.0": 1, "1.25": 9}, {"1.0": "1.25"}),
        ({"0.8": 9, "1.0": 1, "1.25": 8}, {"1.0": "0.8"}),
        ({"1.0": 8, "1.5": 2, "1.6": 1}, {"1.6": "1.0", "1.5": "1.0"}),
        ({"1.0": 8, "1.5": 4, "1.6": 4}, {"1.5": "1.6"}),
        ({"1.0": 2, "1.5": 1}, {"1.5": "1.0"}),
        ({"1.0": 1}, {}),
        ({}, {}),
    ],
)
def test_small_buckets_join_the_nearest(counts: dict[str, int], joined: dict[str, str]) -> None:
    """Nearest by ratio, the larger of two as near; again until all fill an update of 8 or one is left."""
    assert merge_small(counts, 0, 8) == joined


def test_repeats_count_for_merging() -> None:
    counts = {"1.0": 2, "1.5": 4}
    assert merge_small(counts, 3, 8) == {}
    assert merge_small(counts, 2, 8) == {"1.0": "1.5"}


COUNTS = st.dictionaries(st.sampled_from(["0.5", "0.67", "0.8", "1.0", "1.25", "1.5", "2.0"]), st.integers(1, 20))


@given(COUNTS, st.integers(0, 3), st.integers(1, 40), st.randoms())
def test_merging_leaves_buckets_that_fill_an_update_or_one(
    counts: dict[str, int], repeats: int, batch: int, random: random.Random
) -> None:
    joined = merge_small(counts, repeats, batch)
    left = {key: count for key, count in counts.items() if key not in joined}
    for key, host in joined.items():
        left[host] += counts[key]
    assert sum(left.values()) == sum(counts.values())
    assert len(left) <= 1 or min(left.values()) * (repeats + 1) >= batch
    shuffled = list(counts.items())
    random.shuffle(shuffled)
    assert merge_small(dict(shuffled), repeats, batch) == joined


@given(st.integers(1, 7), st.integers(9, 30))
def test_one_small_bucket_joins_the_one_with_the_nearest_ratio(small: int, large: int) -> None:
    hosts = {"0.5": large, "0.9": large, "1.4": large, "2.2": large}
    ((_, host),) = merge_small({**hosts, "1.1": small}, 0, 8).items()
    assert host == min(hosts, key=lambda key: abs(math.log(float(key) / 1.1)))


def test_pruning_names_what_cannot_fill_a_micro_batch() -> None:
    counts = {"0.5": 1, "1.0": 2, "1.5": 4}
    assert prune(counts, 0, 4) == ("0.5", "1.0")
    assert prune(counts, 1, 4) == ("0.5",)
    assert prune(counts, 3, 4) == ()


def test_a_bucket_joins_only_what_all_its_pictures_bear() -> None:
    counts = {"0.5": 1, "1.0": 2, "1.5": 9}
    assert merge_small(counts, 0, 8) == {"0.5": "1.5", "1.0": "1.5"}
    assert merge_small(counts, 0, 8, lambda small, host: host != "1.0") == {"0.5": "1.5", "1.0": "1.5"}
    assert merge_small(counts, 0, 8, lambda small, host: (small, host) != ("0.5", "1.5")) == {"0.5": "1.0"}
    assert merge_small(counts, 0, 8, lambda small, host: small != "0.5") == {"1.0": "1.5"}
    assert merge_small(counts, 0, 8, lambda small, host: False) == {}


def test_a_bucket_that_may_join_none_can_still_be_joined() -> None:
    counts = {"0.5": 2, "1.0": 3, "2.0": 1}
    assert merge_small(counts, 0, 6, lambda small, host: host == "0.5") == {"2.0": "0.5", "1.0": "0.5"}
