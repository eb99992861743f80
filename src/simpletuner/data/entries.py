"""What a scan of a data set finds: pictures that are used, and pictures that are not, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simpletuner.core.errors import DataError
from simpletuner.core.samples import SampleId
from simpletuner.data.places.crops import Crop
from simpletuner.data.places.geometry import Placement


@dataclass(frozen=True)
class Refusal:
    """Why a picture is not used, and what its owner can do about it."""

    reason: str
    cure: str


Cause = Literal["unreadable", "size", "caption", "bucket", "partner"]


@dataclass(frozen=True)
class Dropped:
    """A picture that is not used. ``file`` is its path inside the data set, printable."""

    file: str
    reason: str
    cure: str
    cause: Cause = "unreadable"


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture that is used. ``width`` and ``height`` are its own, upright; ``captions`` are the candidates."""

    sample: SampleId
    width: int
    height: int
    captions: tuple[str, ...]
    placement: Placement
    crop: Crop


class PictureError(DataError):
    """One picture cannot be used. Always has a reason and a cure."""

    passing = False
    """Whether the next start may find the file as it should be: nothing was wrong with its content."""

    def dropped(self, file: str) -> Dropped:
        """The same, as a line of the report."""
        return Dropped(printable(file), self.reason, self.cure or "replace or remove the file")


class UnreachableError(PictureError):
    """A picture's bytes could not be had this time: a permission, a vanished file, a network."""

    passing = True


class NoPicturesError(DataError):
    """A data set of which nothing is left, or too little; ``dropped`` says why, file by file."""

    def __init__(
        self,
        dropped: tuple[Dropped, ...],
        reason: str,
        *,
        file: Path | str | None = None,
        key: str | None = None,
        cure: str | None = None,
    ) -> None:
        super().__init__(reason, file=file, key=key, cure=cure)
        self.dropped = dropped


def printable(path: str) -> str:
    """``path`` with bytes that are no text escaped, so that a report can be written as UTF-8."""
    return path.encode("utf-8", "backslashreplace").decode()
