"""What every source of pictures offers: a listing that opens no picture, and their bytes by relative path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Protocol

from simpletuner.data.entries import Dropped
from simpletuner.data.places.geometry import Size


@dataclass(frozen=True)
class Facts:
    """What a table says of a picture, so that nothing needs to be opened for it. None is not said.

    ``size`` is in pixels, upright.
    """

    captions: tuple[str, ...] | None = None
    size: Size | None = None


NO_FACTS = Facts()


@dataclass(frozen=True)
class Listing:
    """What a source holds: relative posix paths, sorted.

    ``pictures`` and ``texts`` (the ``.txt`` files, only these) map a path to its version: text that changes whenever
    the content may have changed. ``dropped`` are files that look like pictures and cannot be used. ``facts`` come
    from a table, by picture. ``notes`` are lines for the user about what is neither used nor dropped.
    """

    pictures: Mapping[str, str]
    texts: Mapping[str, str]
    dropped: tuple[Dropped, ...] = ()
    facts: Mapping[str, Facts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Where the pictures of a data set lie. All methods but :meth:`listing` may be called from several threads."""

    @property
    def where(self) -> str:
        """The folder, bucket, table or hub name, for messages; holds no secret."""
        ...

    def listing(self) -> Listing:
        """Everything that is there. Opens no picture.

        Raises:
            ConfigError: the place does not exist, or a key that says where it is does not fit it.
            DataError: it is there and cannot be listed.
        """
        ...

    def open(self, path: str) -> IO[bytes]:
        """A picture or text for reading; the stream seeks. Raises OSError."""
        ...

    def read(self, path: str) -> bytes:
        """All bytes of a picture or text. Raises :class:`PictureError` when it cannot be read."""
        ...

    def version(self, path: str) -> str:
        """The version of one file as it is now, as :class:`Listing` gives it; "" when it is gone."""
        ...

    def renamed_from(self, version: str) -> str:
        """The part of a version that survives a rename; "" when the source cannot tell."""
        ...
