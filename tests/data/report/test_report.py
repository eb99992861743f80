from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simpletuner.core.errors import DataError
from simpletuner.data.captions.report import CaptionReport
from simpletuner.data.entries import Dropped
from simpletuner.data.files.changes import Changes
from simpletuner.data.files.sift import ScannedDataset
from simpletuner.data.files.table import PictureTable
from simpletuner.data.order.plan import PlannedDataset, batches
from simpletuner.data.places.arrange import Arrangement, ArrangeSpec, arrange
from simpletuner.data.places.geometry import GeometrySpec
from simpletuner.data.report.deep import Leak
from simpletuner.data.report.report import DatasetReport, Report, as_json, dataset_report, failed_report, write_report


def scanned(dropped: tuple[Dropped, ...] = ()) -> ScannedDataset:
    """Five squares and two wide pictures."""
    widths = np.asarray([64] * 5 + [96] * 2, dtype=np.int32)
    paths = [f"{number}.png" for number in range(6)] + ["赤.png"]
    table = PictureTable("set", paths, widths, np.full(7, 64, dtype=np.int32), [("",)] * 7)
    return ScannedDataset("set", "/data/set", 7 + len(dropped), table, dropped)


def arranged(found: ScannedDataset) -> Arrangement:
    return arrange(found.table, ArrangeSpec(GeometrySpec(128, alignment=16)), seed=1, epoch=0)


def planned(made: Arrangement, **options: Any) -> PlannedDataset:
    return PlannedDataset("set", made.buckets, **{"repeats": 1, "batch": 4, **options})


def report_of(
    found: ScannedDataset, later: tuple[Dropped, ...] = (), kind: str = "image", **options: Any
) -> DatasetReport:
    made = arranged(found)
    return dataset_report(found, made, planned(made, **options), kind=kind, later=later)


def test_what_scripts_outside_rely_on(tmp_path: Path) -> None:
    first, later = Dropped("bad.png", "it is empty", "replace it", "caption"), Dropped("a.png", "it broke", "mend it")
    write_report(tmp_path / "new/report.json", Report((report_of(scanned((first,)), (later,)),), ("a problem",)))
    content = json.loads((tmp_path / "new/report.json").read_text(encoding="utf-8"))
    (found,) = content["datasets"]
    assert {key: found[key] for key in ("id", "files", "used", "buckets", "batches", "dropped")} == {
        "id": "set",
        "files": 8,
        "used": 7,
        "buckets": {"1.0": 5, "1.43": 2},
        "batches": 4,
        "dropped": [
            {"file": "bad.png", "reason": "it is empty", "cure": "replace it"},
            {"file": "a.png", "reason": "it broke", "cure": "mend it"},
        ],
    }
    assert content["problems"] == ["a problem"]


def test_sizes_and_updates_of_every_bucket() -> None:
    found = report_of(scanned())
    assert found.targets == {"1.0": "128x128", "1.43": "160x112"}
    assert found.updates == {"1.0": 3, "1.43": 1}
    assert found.batches == batches(planned(arranged(scanned()))) == 4
    assert (found.type, found.where, found.repeats, found.batch) == ("image", "/data/set", 1, 4)
    assert found.upscaled.count == 7


def test_mixed_sizes_are_counted_together() -> None:
    assert report_of(scanned(), mixing="pad").updates == {"mixed": 4}


@pytest.mark.parametrize(("kind", "options"), [("eval", {}), ("conditioning", {}), ("image", {"probability": 0.0})])
def test_what_is_not_trained_on_has_no_updates(kind: str, options: dict[str, Any]) -> None:
    found = report_of(scanned(), kind=kind, **options)
    assert (found.updates, found.batches, found.used) == ({}, 0, 7)
    assert bool(found.upscaled.count) == (kind != "conditioning")


def test_the_whole_report_as_json() -> None:
    changes = Changes(
        added=tuple(f"{number:03d}.png" for number in range(130)), changed=("c.png",), renamed=(("old.png", "new.png"),)
    )
    captions = CaptionReport(
        "textfile", missing=1, duplicates=(("a cat", ("0.png", "1.png")),), median=3, longest=9, over=(("1.png", 9),),
        over_count=1, advised=8, estimated=False,
    )  # fmt: skip
    full = DatasetReport("set", 2, 2, {"1.0": 2}, 1, (), changes=changes, captions=captions, shortages=("short",),
        partners=("masks",), identical=(("a", "b"),), similar=(("c", "d"),), notes=("a note",))  # fmt: skip
    failed = failed_report("other", "eval", "/nowhere", DataError("no images"))
    content = as_json(
        Report((full, failed), notes=("told",), updates=1, steps=5, epochs=5, leaks=(Leak("e/1", "t/1", 2),), deep=True)
    )
    assert json.loads(json.dumps(content)) == content
    found, other = content["datasets"]
    assert found["changes"]["added"]["count"] == 130
    assert len(found["changes"]["added"]["names"]) == 100
    assert found["changes"]["renamed"] == {"count": 1, "names": [{"from": "old.png", "to": "new.png"}]}
    assert found["captions"]["tokens"]["over"] == [{"file": "1.png", "tokens": 9}]
    assert found["captions"]["duplicates"] == [{"caption": "a cat", "count": 2, "files": ["0.png", "1.png"]}]
    assert found["steps"] == found["batches"] == 1
    assert (found["shortages"], found["partners"], found["notes"]) == (["short"], ["masks"], ["a note"])
    assert "failed" not in found
    assert (other["failed"], other["captions"], other["used"]) == ("no images", None, 0)
    assert content["epoch"] == {"updates": 1, "steps_per_epoch": 1, "pictures": 2}
    assert content["run"] == {"steps": 5, "epochs": 5}
    assert content["duplicates"] == [
        {"dataset": "set", "kind": "identical", "count": 2, "files": ["a", "b"]},
        {"dataset": "set", "kind": "similar", "count": 2, "files": ["c", "d"]},
    ]
    assert content["leaks"] == [{"held_out": "e/1", "trained": "t/1", "distance": 2, "identical": False}]
    assert content["deep"] is True
