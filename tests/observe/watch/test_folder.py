from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from simpletuner.observe.watch.folder import RunFolder, thinned


def no_facts(_path: Path) -> Mapping[str, str]:
    return {}


def record(step: int, **more: float) -> bytes:
    return (json.dumps({"step": step, **more}) + "\n").encode()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "validation_images").mkdir(parents=True)
    (folder / "benchmarks" / "base_model").mkdir(parents=True)
    return folder


def picture(path: Path, at: int) -> None:
    Image.new("RGB", (4, 4)).save(path)
    os.utime(path, (at, at))


def steps(folder: RunFolder) -> list[int]:
    return [point["step"] for point in folder.points()]


def test_a_file_that_grows_is_followed(out: Path) -> None:
    folder, file = RunFolder(out, no_facts), out / "metrics.jsonl"
    assert steps(folder) == []
    file.write_bytes(record(1) + record(2))
    assert steps(folder) == [1, 2]
    with file.open("ab") as stream:
        stream.write(record(3) + b'{"step": 4')
    assert steps(folder) == [1, 2, 3]
    with file.open("ab") as stream:
        stream.write(b"}\nno record\n[]\n" + record(5))
    assert steps(folder) == [1, 2, 3, 4, 5]
    assert steps(folder) == [1, 2, 3, 4, 5]


def test_a_last_line_that_is_written_anew_is_read_anew(out: Path) -> None:
    folder, file = RunFolder(out, no_facts), out / "metrics.jsonl"
    file.write_bytes(record(1) + record(2))
    assert steps(folder) == [1, 2]
    with file.open("r+b") as stream:
        stream.seek(len(record(1)))
        stream.write(record(2, reference=0.5) + record(3))
    assert folder.points() == [{"step": 1}, {"step": 2, "reference": 0.5}, {"step": 3}]


def test_a_resumed_run_cuts_its_file(out: Path) -> None:
    folder, file = RunFolder(out, no_facts), out / "metrics.jsonl"
    file.write_bytes(b"".join(record(number) for number in range(1, 9)))
    assert steps(folder) == list(range(1, 9))
    with file.open("r+b") as stream:
        stream.truncate(len(record(1)) * 3)
    assert steps(folder) == [1, 2, 3]
    (out / "new").write_bytes(record(1) + record(2))
    (out / "new").replace(file)
    assert steps(folder) == [1, 2]
    file.unlink()
    assert steps(folder) == []


def test_many_records_are_joined_and_rare_numbers_stay() -> None:
    records = [{"step": number, **({"rare": 1.0} if number == 500 else {})} for number in range(10_000)]
    joined = thinned(records, 100)
    assert len(joined) == 100
    assert joined[-1]["step"] == 9999
    assert [point["step"] for point in joined if "rare" in point] == [599]
    assert thinned([], 5) == []


def test_pictures_are_listed_newest_first_with_what_they_say(out: Path) -> None:
    picture(out / "validation_images" / "step_5_cat_0_4x4.png", 5)
    picture(out / "validation_images" / "step_9_cat_0_4x4.webp", 9)
    picture(out / "benchmarks" / "base_model" / "cat_4x4.png", 1)
    (out / "validation_images" / "notes.txt").write_text("none")
    facts = {"prompt": "a <b>cat</b>", "global_step": "9"}
    folder = RunFolder(out, lambda path: facts if path.suffix == ".webp" else {})
    assert folder.pictures() == [
        {"name": "validation_images/step_9_cat_0_4x4.webp", "caption": "step 9 · a <b>cat</b>"},
        {"name": "validation_images/step_5_cat_0_4x4.png", "caption": "step_5_cat_0_4x4"},
        {"name": "benchmarks/base_model/cat_4x4.png", "caption": "cat_4x4"},
    ]


def test_only_pictures_and_two_files_can_be_opened(out: Path, tmp_path: Path) -> None:
    picture(out / "validation_images" / "a.png", 1)
    picture(tmp_path / "secret.png", 1)
    (out / "validation_images" / "led_out.png").symlink_to(tmp_path / "secret.png")
    (out / "report.json").write_text("{}")
    (out / "config.json").write_text("{}")
    (out / "metrics.jsonl").symlink_to(tmp_path / "secret.png")
    folder = RunFolder(out, no_facts)
    assert folder.open("validation_images/a.png") == (out / "validation_images" / "a.png", "image/png")
    assert folder.open("report.json") == (out / "report.json", "application/json")
    assert folder.files() == ["report.json"]
    names = (
        "config.json",
        "metrics.jsonl",
        "validation_images/led_out.png",
        "../secret.png",
        "/etc/passwd",
        "a.png",
        "",
    )
    for name in (*names, "validation_images/../validation_images/a.png", "validation_images//a.png", "."):
        assert folder.open(name) is None, name
