"""Every method of the options has a row, and its short training is examined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from benchmarks.algorithms import METHODS, Shorts, main
from simpletuner.config.files.lycoris import LycorisOptions, read_lycoris


def test_every_method_has_a_row(tmp_path: Path) -> None:
    algos = get_args(LycorisOptions.model_fields["algo"].annotation)
    assert {str(settings["algo"]) for settings in METHODS.values()} == set(algos)
    for name in METHODS:
        assert read_lycoris(Shorts(tmp_path, 1)._file(name, tmp_path / "file.json")).algo in algos


@pytest.mark.long
def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "algorithms.json"
    words = ["--work", str(tmp_path / "work"), "--steps", "2", "--json", str(file), "--methods", "lokr", "lora, DoRA"]
    main(words)
    found = json.loads(file.read_text())
    assert list(found) == ["lokr", "lora, DoRA"]
    assert all(figures["finite"] and figures["steps"] == 2 for figures in found.values())
    assert all(figures["loss_after"] < figures["loss_before"] for figures in found.values())
    assert found["lokr"]["values"] != found["lora, DoRA"]["values"]
