"""``report.json``: what became of every picture file, and what the run will make of those that are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simpletuner.core.errors import SimpletunerError
from simpletuner.core.files import write_json
from simpletuner.data.captions.report import CaptionReport
from simpletuner.data.entries import Dropped, NoPicturesError
from simpletuner.data.files.changes import NO_CHANGES, Changes
from simpletuner.data.files.sift import ScannedDataset
from simpletuner.data.order.plan import PlannedDataset
from simpletuner.data.places.arrange import Arrangement
from simpletuner.data.places.upscaling import Upscaling, upscaling
from simpletuner.data.report.deep import Leak

_NAMED = 100


@dataclass(frozen=True)
class DatasetReport:
    """One data set. ``files`` = ``used`` + those dropped + those ``max_num_samples`` leaves out.

    ``buckets`` counts pictures, ``targets`` are their sizes as ``WxH``, ``updates`` those of an epoch by bucket (all
    under "mixed" where sizes are mixed); ``batches`` is their sum, 0 for pictures that are not trained on.
    ``short_buckets`` are the files of each bucket that cannot fill an update, ``shortages`` the arithmetic. ``failed``
    says why the data set cannot be used at all.
    """

    id: str
    files: int
    used: int
    buckets: dict[str, int]
    batches: int
    dropped: tuple[Dropped, ...]
    type: str = "image"
    where: str = ""
    repeats: int = 0
    batch: int = 0
    targets: dict[str, str] = field(default_factory=dict)
    updates: dict[str, int] = field(default_factory=dict)
    changes: Changes = NO_CHANGES
    upscaled: Upscaling = field(default_factory=Upscaling)
    captions: CaptionReport | None = None
    shortages: tuple[str, ...] = ()
    short_buckets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    partners: tuple[str, ...] = ()
    identical: tuple[tuple[str, ...], ...] = ()
    similar: tuple[tuple[str, ...], ...] = ()
    mislabelled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failed: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that the file says. ``updates`` are those of an epoch, ``steps`` those of the run.

    ``more`` is what is known of the run beside its data sets, as JSON has it.
    """

    datasets: tuple[DatasetReport, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    updates: int = 0
    steps: int = 0
    epochs: int = 0
    leaks: tuple[Leak, ...] = ()
    deep: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pictures(self) -> int:
        """The pictures that are trained on."""
        return sum(report.used for report in self.datasets if report.batches)


def dataset_report(
    scanned: ScannedDataset,
    made: Arrangement,
    planned: PlannedDataset,
    *,
    kind: str = "image",
    later: Sequence[Dropped] = (),
) -> DatasetReport:
    """Report one data set as far as its pictures say. ``later`` were dropped after the scan."""
    counts = made.counts
    is_trained = kind == "image" and planned.probability > 0
    updates = _updates(planned) if is_trained else {}
    return DatasetReport(
        id=scanned.id,
        files=scanned.files,
        used=len(made.table),
        buckets=counts,
        batches=sum(updates.values()),
        dropped=(*scanned.dropped, *later),
        type=kind,
        where=scanned.where,
        repeats=planned.repeats,
        batch=planned.batch,
        targets={key: str(size) for key, size in zip(made.keys, made.targets, strict=True)},
        updates=updates,
        changes=scanned.changes,
        # A mask follows the window of its picture.
        upscaled=Upscaling() if kind == "conditioning" else upscaling(made),
    )


def failed_report(identity: str, kind: str, where: str, error: SimpletunerError) -> DatasetReport:
    """Report a data set that cannot be used at all, with every picture that was found."""
    dropped = error.dropped if isinstance(error, NoPicturesError) else ()
    return DatasetReport(identity, len(dropped), 0, {}, 0, dropped, type=kind, where=where, failed=error.reason)


def _updates(planned: PlannedDataset) -> dict[str, int]:
    return {key: -(-planned.uses(len(samples)) // planned.batch) for key, samples in planned.pools.items()}


def as_json(report: Report) -> dict[str, Any]:
    """The content of the file; scripts outside the project read it."""
    return {
        "datasets": [_dataset(found) for found in report.datasets],
        "problems": list(report.problems),
        "notes": list(report.notes),
        "epoch": {"updates": report.updates, "steps_per_epoch": report.updates, "pictures": report.pictures},
        "run": {"steps": report.steps, "epochs": report.epochs},
        "deep": report.deep,
        "duplicates": [_group(found.id, kind, files) for found in report.datasets for kind, files in _alike(found)],
        "leaks": [asdict(leak) for leak in report.leaks],
        **report.more,
    }


def write_report(path: Path, report: Report) -> None:
    """Write the report whole or not at all. Raises OSError."""
    write_json(path, as_json(report))


def _dataset(found: DatasetReport) -> dict[str, Any]:
    content = {
        "id": found.id,
        "type": found.type,
        "where": found.where,
        "files": found.files,
        "used": found.used,
        "repeats": found.repeats,
        "batch": found.batch,
        "buckets": found.buckets,
        "targets": found.targets,
        "updates": found.updates,
        "batches": found.batches,
        "steps": found.batches,
        "changes": _changes(found.changes),
        "upscaled": asdict(found.upscaled),
        "captions": _captions(found.captions) if found.captions else None,
        "shortages": list(found.shortages),
        "short_buckets": {bucket: list(files) for bucket, files in found.short_buckets.items()},
        "partners": list(found.partners),
        "mislabelled": list(found.mislabelled),
        "notes": list(found.notes),
        "dropped": [{"file": item.file, "reason": item.reason, "cure": item.cure} for item in found.dropped],
    }
    return content | ({"failed": found.failed} if found.failed else {})


def _captions(found: CaptionReport) -> dict[str, Any]:
    return {
        "strategy": found.strategy,
        "missing": found.missing,
        "empty": found.empty,
        "unusable": found.unusable,
        "duplicate_count": len(found.duplicates),
        "duplicates": [
            {"caption": caption, "count": len(files), "files": list(files[:_NAMED])}
            for caption, files in found.duplicates[:_NAMED]
        ],
        "tokens": {
            "median": found.median,
            "longest": found.longest,
            "advised": found.advised,
            "estimated": found.estimated,
            "over_count": found.over_count,
            "over": [{"file": file, "tokens": length} for file, length in found.over],
        },
    }


def _changes(found: Changes) -> dict[str, Any]:
    renamed = [{"from": old, "to": new} for old, new in found.renamed]
    kinds = {"added": found.added, "changed": found.changed, "renamed": renamed, "removed": found.removed}
    return {kind: {"count": len(names), "names": list(names[:_NAMED])} for kind, names in kinds.items()}


def _alike(found: DatasetReport) -> list[tuple[str, tuple[str, ...]]]:
    return [("identical", files) for files in found.identical] + [("similar", files) for files in found.similar]


def _group(dataset: str, kind: str, files: Sequence[str]) -> dict[str, Any]:
    return {"dataset": dataset, "kind": kind, "count": len(files), "files": list(files[:_NAMED])}
