"""What a scan of a data set finds: pictures that are used, and pictures that are not, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from simpletuner.core.errors import DataError
from simpletuner.core.samples import SampleId
from simpletuner.data.crops import Crop
from simpletuner.data.geometry import Placement


@dataclass(frozen=True)
class Refusal:
    """Why a picture is not used, and what its owner can do about it."""

    reason: str
    cure: str


@dataclass(frozen=True)
class Dropped:
    """A picture that is not used. ``file`` is its path inside the data set, printable."""

    file: str
    reason: str
    cure: str


@dataclass(frozen=True)
class Entry:
    """A picture that is used. ``width`` and ``height`` are its own, upright; ``captions`` are the candidates."""

    sample: SampleId
    width: int
    height: int
    captions: tuple[str, ...]
    placement: Placement
    crop: Crop


@dataclass(frozen=True)
class ScannedDataset:
    """A data set after its scan. ``files`` counts the pictures found; ``notes`` are lines for the user."""

    id: str
    folder: str
    files: int
    entries: tuple[Entry, ...]
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...] = ()


class PictureError(DataError):
    """One picture cannot be used. Always has a reason and a cure."""

    def dropped(self, file: str) -> Dropped:
        """The same, as a line of the report."""
        return Dropped(printable(file), self.reason, self.cure or "replace or remove the file")


def printable(path: str) -> str:
    """``path`` with bytes that are no text escaped, so that a report can be written as UTF-8."""
    return path.encode("utf-8", "backslashreplace").decode()
