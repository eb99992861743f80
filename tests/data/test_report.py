from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simpletuner.data.buckets import group
from simpletuner.data.captions import CaptionSpec
from simpletuner.data.entries import Dropped
from simpletuner.data.geometry import GeometrySpec
from simpletuner.data.report import dataset_report, write_report
from simpletuner.data.scan import ScanSpec, scan


def test_the_report_of_a_folder(tmp_path: Path, pictures: Any, heard: Any) -> None:
    pictures.write(tmp_path / "set/a.png", 64, 64)
    pictures.write(tmp_path / "set/赤.png", 96, 64)
    (tmp_path / "set/bad.png").write_bytes(b"")
    scanned = scan(
        ScanSpec("set", str(tmp_path / "set"), GeometrySpec(64, alignment=16), CaptionSpec()), seed=1, emit=heard
    )
    later = Dropped("a.png", "it broke", "mend it")
    buckets = group([entry for entry in scanned.entries if entry.sample.path != "a.png"])
    write_report(tmp_path / "report.json", [dataset_report(scanned, buckets, 3, [later])], ["a notice"])
    (bad,) = scanned.dropped
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {
        "datasets": [
            {
                "id": "set",
                "files": 3,
                "used": 1,
                "buckets": {"1.67": 1},
                "batches": 3,
                "dropped": [
                    {"file": "bad.png", "reason": bad.reason, "cure": bad.cure},
                    {"file": "a.png", "reason": "it broke", "cure": "mend it"},
                ],
            }
        ],
        "problems": ["a notice"],
    }
