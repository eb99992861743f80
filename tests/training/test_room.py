"""Pieces that fit: every use once, in order, and as even as halving makes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.errors import OutOfMemory
from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.training.room import Exhausted, Room, memory_named


def update(count: int, bucket: str = "1.0") -> Update:
    return Update("d", bucket, tuple(Use(SampleId("d", str(number)), 0) for number in range(count)))


@given(count=st.integers(0, 40), size=st.integers(1, 16), rows=st.lists(st.integers(2, 16), max_size=4))
def test_pieces_hold_every_use_once_and_in_order(count: int, size: int, rows: list[int]) -> None:
    room, whole = Room(), update(count)
    slices = [whole.uses[start : start + size] for start in range(0, count, size)]
    for number in rows:
        room.halve(whole, Exhausted(number, "no memory"))
    pieces = room.cut(whole, [*slices, ()])
    assert tuple(use for piece in pieces for use in piece) == whole.uses
    assert all(0 < len(piece) <= size for piece in pieces)
    if rows:
        assert max((len(piece) for piece in pieces), default=0) <= (rows[-1] + 1) // 2


def test_halving_comes_to_one_and_no_further() -> None:
    room, tried = Room(), [13]
    while tried[-1] > 1:
        room.halve(update(13), Exhausted(tried[-1], "no memory"))
        tried.append(max(len(piece) for piece in room.cut(update(13), [update(13).uses])))
    assert tried == [13, 7, 4, 2, 1]
    with pytest.raises(OutOfMemory, match=r'1 of data set "d", bucket 1\.0 do not fit into memory: no memory'):
        room.halve(update(13), Exhausted(1, "no memory"))


def test_other_shapes_keep_their_size() -> None:
    room = Room()
    room.halve(update(4), Exhausted(4, "no memory"))
    other = update(4, "1.5")
    assert room.cut(other, [other.uses]) == [other.uses]


def test_processes_that_wait_for_each_other_do_not_split() -> None:
    with pytest.raises(OutOfMemory):
        Room().halve(update(4), Exhausted(4, "no memory"), in_step=True)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_memory_that_runs_out_elsewhere_has_a_name(error: Exception) -> None:
    with (
        pytest.raises(OutOfMemory, match=r"^the pictures do not fit: (MemoryError|DefaultCPU)") as caught,
        memory_named("the pictures do not fit"),
    ):
        raise error
    assert caught.value.exit_code == 4


def test_other_errors_keep_theirs() -> None:
    with pytest.raises(RuntimeError, match=r"^size mismatch$"), memory_named("the pictures do not fit"):
        raise RuntimeError("size mismatch")
