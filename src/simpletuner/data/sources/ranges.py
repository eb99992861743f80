"""A stream over something that is read a range at a time: an object in a bucket, a member of an archive."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, cast

# One request reads a header; a picture of many small chunks does not cost a request for each.
BLOCK = 1 << 18

Fetch = Callable[[int, int], bytes]
"""The bytes from one offset up to another. Raises OSError."""


class _Ranges(io.RawIOBase):
    def __init__(self, fetch: Fetch, size: int) -> None:
        super().__init__()
        self._fetch = fetch
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError("cannot seek before the start")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readall(self) -> bytes:
        # The inherited one asks for a few thousand bytes at a time: a request for each.
        rest = bytearray(max(self._size - self._at, 0))
        self.readinto(memoryview(rest))
        return bytes(rest)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        content = self._fetch(self._at, end)
        if len(content) != end - self._at:
            raise OSError(f"{len(content)} bytes came where {end - self._at} were asked for")
        buffer[: len(content)] = content
        self._at = end
        return len(content)


def range_stream(fetch: Fetch, size: int, block: int = BLOCK) -> IO[bytes]:
    """A buffered stream of ``size`` bytes that asks ``fetch`` for what is read, at least ``block`` bytes at a time."""
    return cast(IO[bytes], io.BufferedReader(_Ranges(fetch, size), block))
