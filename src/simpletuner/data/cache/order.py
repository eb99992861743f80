"""The order in which one process fills a cache."""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from collections.abc import Iterable

from simpletuner.core.keyed import keyed_random
from simpletuner.data.entries import Entry
from simpletuner.data.places.geometry import Size


def own_order(entries: Iterable[Entry], batch_size: int, share: int) -> list[list[Entry]]:
    """``entries`` in this process's order, ``share`` at a time: sizes one after the other, in whole batches."""
    order = _in_own_order(entries, batch_size)
    return [order[start : start + share] for start in range(0, len(order), share)]


def _in_own_order(entries: Iterable[Entry], batch_size: int) -> list[Entry]:
    """``entries`` by size and in whole batches, sizes and batches shuffled differently in every process.

    So two processes that fill one cache seldom work on one picture at the same time.
    """
    order = keyed_random(socket.gethostname(), os.getpid())
    by_size: dict[Size, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_size[entry.placement.target].append(entry)
    sizes = sorted(by_size)
    order.shuffle(sizes)
    batches: list[list[Entry]] = []
    for size in sizes:
        own = [by_size[size][start : start + batch_size] for start in range(0, len(by_size[size]), batch_size)]
        order.shuffle(own)
        batches.extend(own)
    return [entry for batch in batches for entry in batch]
