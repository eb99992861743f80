"""What a sample is, and how the updates of an epoch name the samples they use. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class SampleId:
    """A picture for good: the id of its data set and its path inside it. Randomness is keyed by it."""

    dataset: str
    path: str

    def __str__(self) -> str:
        """``dataset/path``, as messages and reports show it."""
        return f"{self.dataset}/{self.path}"


@dataclass(frozen=True)
class Use:
    """One use of a sample. ``visit`` counts its uses over the whole run from 0, so no two uses share a draw.

    ``epoch`` (from 0) decides where the picture is cropped, in data sets that crop anew in each epoch. ``position`` is
    its place in the order of the whole run, from 0: where the use stands, not which use it is.
    """

    sample: SampleId
    visit: int
    epoch: int = 0
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Update:
    """One weight update (the global batch): uses from one data set and one bucket, in order."""

    dataset: str
    bucket: str
    uses: tuple[Use, ...]
