"""The figures on record hold, and the gates can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.tiny.gates import GATES, Gate, failures

RECORD = Path(__file__).parents[3] / "docs" / "tiny-world.json"


def test_every_gate_is_on_record_and_holds() -> None:
    record = json.loads(RECORD.read_text())
    assert record["trained_on"] in {"cpu", "cuda"}
    assert record["device"]
    assert len(record["commit"]) == 40, "measured on files that were not committed"
    assert set(GATES) <= set(record)
    figures = {name: value for name, value in record.items() if isinstance(value, int | float)}
    assert failures(figures, record["trained_on"]) == []


@pytest.mark.parametrize(
    ("gate", "value", "on_cuda", "on_cpu"),
    [
        (Gate(0.85, 0.75), 0.85, True, True),
        (Gate(0.85, 0.75), 0.80, False, True),
        (Gate(0.85, 0.75), 0.74, False, False),
        (Gate(2.0, 2.0, at_least=False), 2.0, True, True),
        (Gate(2.0, 2.0, at_least=False), 2.1, False, False),
    ],
)
def test_bounds_depend_on_where_the_weights_come_from(gate: Gate, value: float, on_cuda: bool, on_cpu: bool) -> None:
    assert gate.holds(value, "cuda") is on_cuda
    assert gate.holds(value, "cpu") is on_cpu


def test_a_missed_gate_is_named_with_both_figures() -> None:
    (line,) = failures({"vae_psnr_db": 20.0, "style_flat_after": 0.95}, "cpu")
    assert line == "vae_psnr_db: 20.000, at least 23.0 is asked"
