from __future__ import annotations

import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.samples import SampleId
from simpletuner.data.cache.order import own_order
from simpletuner.data.entries import Entry
from simpletuner.data.places.crops import Crop
from simpletuner.data.places.geometry import Placement, Size


def entry(number: int, edge: int) -> Entry:
    size = Size(edge, edge)
    return Entry(SampleId("set", f"{number}.png"), edge, edge, (), Placement("1.0", size, size), Crop(0, 0))


@given(st.lists(st.sampled_from((16, 32, 48)), max_size=40), st.integers(1, 6), st.integers(1, 6))
def test_every_entry_once_in_whole_batches_of_one_size(edges: list[int], batch: int, share: int) -> None:
    entries = [entry(number, edge) for number, edge in enumerate(edges)]
    pieces = own_order(entries, batch, share)
    assert all(len(piece) == share for piece in pieces[:-1])
    order = [made for piece in pieces for made in piece]
    assert sorted(made.sample.path for made in order) == sorted(made.sample.path for made in entries)
    targets = [made.placement.target for made in order]
    changes = sum(one != other for one, other in pairwise(targets))
    assert changes == max(len(set(edges)) - 1, 0)


def test_each_process_has_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [entry(number, 16) for number in range(64)]
    orders = []
    for process in range(2):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        orders.append([[made.sample.path for made in piece] for piece in own_order(entries, 4, 4)])
    assert orders[0] != orders[1]
    # The same batches, so that what one process has made is a batch less for the other.
    assert sorted(orders[0]) == sorted(orders[1])
