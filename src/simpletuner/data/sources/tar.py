"""The members of a tar file, from its headers alone. Nothing is ever extracted."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple, cast

_BLOCK = 512
# Long names lie in a member of their own, whose size the file declares; a kilobyte is a long name.
_LARGEST_HEADER = 1 << 20


class Member(NamedTuple):
    """A name and where its bytes lie. ``fault`` says why they cannot be used; "" when they can."""

    name: str
    offset: int
    size: int
    fault: str = ""


class BrokenTar(Exception):
    """The rest of the file cannot be read as tar; what came before is sound."""


class _Bounded:
    """Gives headers only: a file that declares a header of gigabytes is broken."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, count: int) -> bytes:
        if count > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {count} bytes")
        return self._stream.read(count)


def members(stream: IO[bytes], size: int) -> Iterator[Member]:
    """Every member that is not a folder, in order. ``size`` is that of the file; the stream may be used in between.

    Raises:
        BrokenTar: after the last sound member, when the file is cut short, damaged or compressed.
    """
    try:
        archive = tarfile.TarFile(fileobj=cast(IO[bytes], _Bounded(stream)))
        while (found := archive.next()) is not None:
            # Kept, a million of them would be a gigabyte.
            archive.members = []  # type: ignore[attr-defined]
            if not found.isdir():
                yield _member(found, size)
            if found.offset_data + (found.size if found.isreg() else 0) > size:
                raise BrokenTar("the file is cut short")
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        raise BrokenTar(str(error) or type(error).__name__) from error
    stream.seek(archive.offset)
    if stream.read(_BLOCK) != bytes(_BLOCK):
        raise BrokenTar("the file ends without the mark of a tar's end, it may be cut short")


def _member(found: tarfile.TarInfo, size: int) -> Member:
    fault = ""
    if not found.isreg():
        fault = "a link, a device or the like, not a picture"
    elif found.issparse():
        fault = "stored with holes, which is not supported"
    elif found.name.startswith("/") or ".." in found.name.split("/"):
        fault = "its name leads out of the archive"
    elif found.offset_data + found.size > size:
        fault = "the file is cut short inside it"
    return Member(found.name.removeprefix("./"), found.offset_data, found.size, fault)
