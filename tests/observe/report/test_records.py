from __future__ import annotations

import json
from pathlib import Path

from simpletuner.observe.report.records import read_records


def write(path: Path, count: int) -> None:
    lines = [json.dumps({"step": step, "a": step} | ({"rare": 1} if step == 3 else {})) for step in range(1, count + 1)]
    path.write_text("\n".join(lines) + "\n")


def test_few_are_kept_and_many_are_joined_without_losing_the_rare(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 10)
    assert [record["step"] for record in read_records(path)] == list(range(1, 11))
    joined = read_records(path, 4)
    assert [record["step"] for record in joined] == [3, 6, 9, 10]
    assert joined[0] == {"step": 3, "a": 3, "rare": 1}


def test_what_is_no_record_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_records(path) == []
    path.write_text('{"step": 1}\n[1]\n{"step": "x"}\n{"step": 2, "a"')
    assert read_records(path) == [{"step": 1}]
