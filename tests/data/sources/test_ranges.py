from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.sources.ranges import range_stream

CONTENT = bytes(range(256)) * 4


def fetch(start: int, end: int) -> bytes:
    return CONTENT[start:end]


@given(st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 300)), max_size=8), st.integers(1, 300))
def test_reads_as_a_file_does(reads: list[tuple[int, int]], block: int) -> None:
    stream, file = range_stream(fetch, len(CONTENT), block), io.BytesIO(CONTENT)
    for at, count in reads:
        assert stream.seek(at) == file.seek(at)
        assert stream.read(count) == file.read(count)
        assert stream.tell() == file.tell()
    assert stream.seek(-3, io.SEEK_END) == len(CONTENT) - 3
    assert stream.read() == CONTENT[-3:]


def test_little_is_asked_for_once() -> None:
    asked = []

    def counting(start: int, end: int) -> bytes:
        asked.append((start, end))
        return fetch(start, end)

    stream = range_stream(counting, len(CONTENT), block=512)
    assert stream.read(16) + stream.read(16) == CONTENT[:32]
    assert asked == [(0, 512)]
    assert stream.read() == CONTENT[32:]
    assert asked == [(0, 512), (512, 1024)]


def test_a_short_answer_is_no_end_of_file() -> None:
    stream = range_stream(lambda start, end: fetch(start, end)[:-1], len(CONTENT))
    with pytest.raises(OSError, match="1023 bytes came where 1024"):
        stream.read(10)


def test_before_the_start_there_is_nothing() -> None:
    with pytest.raises(OSError, match="before the start"):
        range_stream(fetch, len(CONTENT)).seek(-2000, io.SEEK_CUR)
