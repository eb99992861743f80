"""Buckets that cannot fill a batch: joined to their nearest, or left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from simpletuner.core.samples import SampleId

Buckets = Mapping[str, Sequence[SampleId]]
Bears = Callable[[str, str], bool]


def _all_bear(_small: str, _host: str) -> bool:
    return True


def merge_small(counts: Mapping[str, int], repeats: int, batch: int, bears: Bears = _all_bear) -> dict[str, str]:
    """Which bucket each one that cannot fill an update joins, so that all can or one is left.

    The smallest joins the nearest by the ratio of their aspects, or the larger of two that are equally near. ``counts``
    are the pictures of each bucket; its keys are aspects. ``bears(small, host)`` says whether all pictures of a bucket
    may be trained at the size of another; a bucket that may join none stays as it is.
    """
    left, joined, alone = dict(counts), dict[str, str](), set[str]()
    while len(left) > 1:
        waiting = [key for key in left if left[key] * (repeats + 1) < batch and key not in alone]
        if not waiting:
            break
        small = min(waiting, key=lambda key: (left[key], float(key), key))
        members = [small, *(key for key, host in joined.items() if host == small)]
        hosts = [key for key in left if key != small and all(bears(member, key) for member in members)]
        if not hosts:
            alone.add(small)
            continue
        host = min(hosts, key=lambda key: (_distance(key, small), -left[key], float(key), key))
        left[host] += left.pop(small)
        joined |= dict.fromkeys(members, host)
    return joined


def prune(counts: Mapping[str, int], repeats: int, micro_batch: int) -> tuple[str, ...]:
    """The buckets that cannot fill one micro-batch. They are left out only when the user wants it (SPEC 3.8)."""
    return tuple(key for key, count in counts.items() if count * (repeats + 1) < micro_batch)


def _distance(one: str, other: str) -> float:
    # Rounded: 0.8 and 1.25 are equally far from 1, on every processor.
    return round(abs(math.log(float(one) / float(other))), 9)
