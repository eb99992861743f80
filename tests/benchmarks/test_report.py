"""Figures join those that are there, one name at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.report import a_parser, card, measure_all


def test_a_name_is_replaced_as_a_whole_and_the_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "new" / "figures.json"
    measure_all({"one": lambda: {"a": 1, "b": 2}, "two": lambda: {"a": 3}}, file)
    before = json.loads(file.read_text())
    measure_all({"one": lambda: {"a": 4}}, file, card="a card")
    after = json.loads(file.read_text())
    assert list(after) == ["one", "two"]
    assert after["two"] == before["two"]
    assert after["one"].pop("made_on")["card"] == "a card"
    assert after["one"] == {"a": 4}


def test_each_has_what_it_was_made_on(capsys: pytest.CaptureFixture[str]) -> None:
    measure_all({"one": lambda: {"a": 1}, "two": lambda: {"a": 2}}, None)
    found = json.loads(capsys.readouterr().out)
    assert [figures["a"] for figures in found.values()] == [1, 2]
    assert all({"commit", "device", "cores_that_others_kept_busy"} < set(one["made_on"]) for one in found.values())


def test_what_was_measured_before_a_failure_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    with pytest.raises(ZeroDivisionError):
        measure_all({"one": lambda: {"a": 1}, "two": lambda: {"a": 1 / 0}}, file)
    assert set(json.loads(file.read_text())) == {"one"}


def test_progress_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        measure_all({"one": lambda: {}}, tmp_path / "figures.json")
    assert [record.message for record in caplog.records] == ["one ...", "one: 0 s"]


def test_a_processor_is_no_card() -> None:
    assert card(torch.device("cpu")) == {}


def test_without_a_file_figures_go_to_the_screen() -> None:
    parser = a_parser("memory", "About.")
    assert [parser.parse_args(words).json for words in ([], ["--json"])] == [None, None]
    assert parser.parse_args(["--json", "x.json"]).json == Path("x.json")
    assert parser.prog == "python -m benchmarks.memory"
