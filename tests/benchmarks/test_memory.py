"""Counted bytes of a step of the full size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.fake import AliveBytes, Weights, counted_step
from benchmarks.memory import WEIGHTS, main
from benchmarks.omnigen import FULL, FULL_CONFIG, Case
from simpletuner.models.omnigen.activations import entry_per_token, kept_per_token
from simpletuner.precision.presets import PRESETS


def test_bytes_are_counted_while_their_tensors_live() -> None:
    alive = AliveBytes()
    with alive:
        first = torch.zeros(1000)
        second = first + 1
        assert alive.now == 8000
        del first
        third = second.view(10, 100)
        assert (alive.now, alive.highest) == (4000, 8000)
        del second, third
    assert alive.now == 0


def test_every_block_adds_its_weights_and_what_it_keeps() -> None:
    """What a block kept or entered with is the arithmetic of `activations`, within a tenth."""
    for recompute in (True, False):
        case = Case(512, 1, recompute)
        peaks = [counted_step(case, WEIGHTS["bf16"], blocks) for blocks in (2, 6)]
        resting, highest = ((peaks[1].resting - peaks[0].resting) / 4, (peaks[1].highest - peaks[0].highest) / 4)
        adapter = 3 * 2 * (4 * 37_120 + 1_179_776)
        assert resting == pytest.approx(2 * FULL.block_weights + adapter, rel=0.01)
        each = entry_per_token(FULL_CONFIG, 2) if recompute else kept_per_token(FULL_CONFIG, 2, adapted=True)
        assert highest - resting == pytest.approx(case.tokens * each, rel=0.1)


def test_fewer_bits_take_fewer_bytes() -> None:
    dense, packed = (counted_step(Case(512, 1), weights, 2) for weights in (WEIGHTS["bf16"], Weights(8)))
    assert dense.resting - packed.resting == 2 * FULL.block_weights


def test_bits_are_those_of_the_formats() -> None:
    for name, preset in (("int8", "int8-quanto"), ("fp8", "fp8-torchao"), ("nf4", "nf4-bnb")):
        assert WEIGHTS[name].bits == pytest.approx(8 * PRESETS[preset].stored_bytes(10**6) / 10**6, rel=0.01)


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    main(["--quick", "--blocks", "2", "--json", str(file)])
    found = json.loads(file.read_text())
    assert set(found) == set(WEIGHTS)
    assert all(figures["blocks"] == 2 for figures in found.values())
    assert 0 < found["int8"]["512px_batch_1_checkpointed"]["peak"] < found["bf16"]["512px_batch_1_checkpointed"]["peak"]


def test_formats_are_chosen_by_name(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    file.write_text(json.dumps({"bf16": "as before", "nf4": "to be replaced"}))
    main(["--quick", "--blocks", "1", "--only", "nf4", "--json", str(file)])
    found = json.loads(file.read_text())
    assert found["bf16"] == "as before"
    assert found["nf4"]["512px_batch_1_checkpointed"]["peak"] > 0
