"""The frame sizes in AV1 data: AV1 bitstream specification, 5.3 and 5.5."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from simpletuner.data.places.geometry import Size

WHOLE = 1 << 62
"""The length of a piece that goes on to the end of the file."""
Extents = Sequence[tuple[int, int]]
"""The pieces of a file, offset and length in bytes, that belong together."""

# No picture has nearly as many; a forged one would cost minutes.
_MOST_UNITS = 256
_UNIT_HEAD, _SEQUENCE_HEADER = 16, 512
_SEQUENCE = 1


class Numbers:
    """Big-endian bits, one after the other. Raises EOFError behind the last."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def bits(self, count: int) -> int:
        """The number that the next ``count`` bits are."""
        start, self._position = self._position, self._position + count
        if self._position > 8 * len(self._data):
            raise EOFError("a header is cut")
        end = -(-self._position // 8)
        return int.from_bytes(self._data[start // 8 : end]) >> (8 * end - self._position) & (1 << count) - 1

    def skip_uvlc(self) -> None:
        """Go past a number of variable length."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
        self.bits(zeros if zeros < 32 else 0)


def frame_sizes(stream: IO[bytes], extents: Extents) -> Iterator[Size]:
    """What the sequence headers among the units of one item say."""
    end, position = sum(length for _, length in extents), 0
    for _ in range(_MOST_UNITS):
        head = _joined(stream, extents, position, _UNIT_HEAD)
        if position >= end or not head:
            return
        before = 2 if head[0] & 4 else 1
        length = end - position - before
        if head[0] & 2:
            length, more = _leb128(head[before:])
            before += more
        if head[0] >> 3 & 15 == _SEQUENCE:
            yield _size(_joined(stream, extents, position + before, min(length, _SEQUENCE_HEADER)))
        position += before + length
    raise ValueError("too many units")


def _joined(stream: IO[bytes], extents: Extents, position: int, count: int) -> bytes:
    """Up to ``count`` bytes at ``position`` of the pieces put together."""
    found = b""
    for start, length in extents:
        if position < length and len(found) < count:
            stream.seek(min(start + position, WHOLE))
            found += stream.read(min(count - len(found), length - position))
        position = max(position - length, 0)
    return found


def _leb128(data: bytes) -> tuple[int, int]:
    """A number, and how many bytes it takes."""
    value = 0
    for place, byte in enumerate(data[:8]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, place + 1
    raise EOFError("a header is cut")


def _size(header: bytes) -> Size:
    """The largest frame of a sequence."""
    numbers = Numbers(header)
    numbers.bits(4)
    if numbers.bits(1):
        numbers.bits(5)
    else:
        _skip_operating_points(numbers)
    wide, high = numbers.bits(4) + 1, numbers.bits(4) + 1
    return Size(numbers.bits(wide) + 1, numbers.bits(high) + 1)


def _skip_operating_points(numbers: Numbers) -> None:
    """What stands between the kind of a sequence and its size, where it is more than one still picture's."""
    delay = _skip_timing(numbers) if numbers.bits(1) else 0
    is_display_delayed = numbers.bits(1)
    for _ in range(numbers.bits(5) + 1):
        numbers.bits(12)
        if numbers.bits(5) > 7:
            numbers.bits(1)
        if delay and numbers.bits(1):
            numbers.bits(2 * delay + 1)
        if is_display_delayed and numbers.bits(1):
            numbers.bits(4)


def _skip_timing(numbers: Numbers) -> int:
    """The length in bits of a decoder model's delays; 0 without a model."""
    numbers.bits(64)
    if numbers.bits(1):
        numbers.skip_uvlc()
    if not numbers.bits(1):
        return 0
    delay = numbers.bits(5) + 1
    numbers.bits(42)
    return delay
