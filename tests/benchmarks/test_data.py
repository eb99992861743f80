"""Every measurement in its quick form: it runs, its figures have their names, and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.command import MEASUREMENTS, main
from benchmarks.timing import ROOT

Figures = Mapping[str, Any]

_TIME = {"start", "million", "fill", "loader", "check"}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """All but `mixing`, which takes longer than the others together."""
    work, file = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("out") / "new" / "figures.json"
    main(["--quick", "--work", str(work), "--json", str(file), "--only", *sorted(_TIME)])
    assert list(work.iterdir()) == []
    found: Figures = json.loads(file.read_text())
    return found


def test_only_what_was_asked_for_is_measured(figures: Figures) -> None:
    assert set(figures) == _TIME
    assert set(MEASUREMENTS) == {*_TIME, "mixing"}
    assert all({"commit", "device", "cores_that_others_kept_busy"} < set(figures[name]["made_on"]) for name in _TIME)


def test_a_warm_start_opens_no_file(figures: Figures) -> None:
    for name in ("200", "200_texts"):
        found = figures["start"][name]
        assert (found["pictures"], found["warm_start_files_opened"]) == (200, 0)
        assert found["warm_start_seconds"] > 0
        assert found["latents_there_seconds"] > 0
        assert found["cold_scan_files_per_second"] == pytest.approx(200 / found["cold_scan_seconds"])


def test_a_synthetic_index_is_planned_in_processes_of_its_own(figures: Figures) -> None:
    found = figures["million"]
    assert found["rows"] == 2_000
    assert found["planning"]["planning_seconds"] > 0
    assert found["planning"]["peak_resident_mb"] < 200
    assert found["planning_traced"]["peak_mb_with_table"] > 0
    steps = ("open", "load", "table", "arrange", "plan_epoch", "read_1000_updates")
    assert sum(found["from_index"][f"{step}_seconds"] for step in steps) <= found["from_index"]["whole_seconds"]


def test_filling_is_compared_with_the_codec_alone(figures: Figures) -> None:
    for name in ("64_of_80_by_4", "64_of_80_by_16", "256_of_320_by_4", "256_of_512_by_4"):
        found = figures["fill"][name]
        assert found["raw_encode_pictures_per_second"] > 0
        assert found["fill_to_raw_encode"] > 0
        assert found.get("fill_to_raw_encode_of_processor_time", 1) > 0


def test_the_loader_is_compared_with_a_step(figures: Figures) -> None:
    for name in ("64px_batch_24", "64px_batch_4", "64px_batch_1", "256px_batch_4"):
        found = figures["loader"][name]
        expected = (found["make_seconds"] + found["empty_loop_seconds"]) / found["step_seconds"]
        assert found["loader_share_of_step"] == pytest.approx(expected)
        assert set(found["microseconds_per_picture"]) > {"read_latent", "draw_noise", "caption_and_tokens"}


def test_check_is_compared_with_decoding_alone(figures: Figures) -> None:
    found = figures["check"]
    assert found["pictures"] == 40
    assert min(found[f"{name}_seconds"] for name in ("cold", "warm", "deep", "raw_decode")) > 0
    assert found["deep_to_raw_decode"] > 0


def test_the_file_runs_as_a_script_from_anywhere(tmp_path: Path) -> None:
    words = ["--quick", "--rows", "100", "--work", str(tmp_path), "--only", "million", "--json"]
    script = [sys.executable, str(ROOT / "benchmarks" / "data.py"), *words]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["million"]["rows"] == 100


def test_figures_join_those_that_are_there(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    for rows in ("10", "20"):
        main(["--quick", "--rows", rows, "--work", str(tmp_path), "--only", "million", "--json", str(file)])
        assert json.loads(file.read_text())["million"]["rows"] == int(rows)
        file.write_text(json.dumps({**json.loads(file.read_text()), "start": "as before"}))
    assert json.loads(file.read_text())["start"] == "as before"


def test_kept_files_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        main(["--quick", "--rows", "10", "--work", str(tmp_path), "--only", "million", "--keep"])
    (kept,) = tmp_path.iterdir()
    assert (kept / "million" / "index.sqlite").is_file()
    assert f"kept {kept}" in caplog.text
