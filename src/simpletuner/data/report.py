"""``report.json``: what became of every picture file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simpletuner.core.files import write_json
from simpletuner.data.buckets import Buckets
from simpletuner.data.entries import Dropped, ScannedDataset


@dataclass(frozen=True)
class DatasetReport:
    """One data set of the report. ``files`` = ``used`` + those dropped + those ``max_num_samples`` leaves out."""

    id: str
    files: int
    used: int
    buckets: dict[str, int]
    batches: int
    dropped: tuple[Dropped, ...]


def dataset_report(
    scanned: ScannedDataset, buckets: Buckets, batches: int, later: Sequence[Dropped] = ()
) -> DatasetReport:
    """Report one data set. ``buckets`` are those trained on; ``later`` were dropped after the scan, when decoding."""
    sizes = {key: len(samples) for key, samples in buckets.items()}
    return DatasetReport(scanned.id, scanned.files, sum(sizes.values()), sizes, batches, (*scanned.dropped, *later))


def as_json(datasets: Sequence[DatasetReport], problems: Sequence[str] = ()) -> dict[str, Any]:
    """The content of the file; scripts outside the project read it."""
    return {
        "datasets": [{**asdict(report), "dropped": [asdict(item) for item in report.dropped]} for report in datasets],
        "problems": list(problems),
    }


def write_report(path: Path, datasets: Sequence[DatasetReport], problems: Sequence[str] = ()) -> None:
    """Write the report whole or not at all."""
    write_json(path, as_json(datasets, problems))
