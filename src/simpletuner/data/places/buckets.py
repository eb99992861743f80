"""Buckets that cannot fill a batch: joined to their nearest, or left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from simpletuner.core.samples import SampleId

Buckets = Mapping[str, Sequence[SampleId]]


def merge_small(counts: Mapping[str, int], repeats: int, batch: int) -> dict[str, str]:
    """Which bucket each one that cannot fill an update joins, so that all can or one is left.

    The smallest joins the nearest by the ratio of their aspects, or the larger of two that are equally near. ``counts``
    are the pictures of each bucket; its keys are aspects.
    """
    left, joined = dict(counts), dict[str, str]()
    while len(left) > 1:
        small = min(left, key=lambda key: (left[key], float(key), key))
        if left[small] * (repeats + 1) >= batch:
            break
        count = left.pop(small)
        host = min(left, key=lambda key: (_distance(key, small), -left[key], float(key), key))
        left[host] += count
        joined = {key: host if to == small else to for key, to in joined.items()} | {small: host}
    return joined


def prune(counts: Mapping[str, int], repeats: int, micro_batch: int) -> tuple[str, ...]:
    """The buckets that cannot fill one micro-batch. They are left out only when the user wants it (SPEC 3.8)."""
    return tuple(key for key, count in counts.items() if count * (repeats + 1) < micro_batch)


def _distance(one: str, other: str) -> float:
    # Rounded: 0.8 and 1.25 are equally far from 1, on every processor.
    return round(abs(math.log(float(one) / float(other))), 9)
