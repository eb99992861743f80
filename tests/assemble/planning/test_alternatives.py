from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble.planning.alternatives import (
    _read,
    _reason,
    candidates,
    in_order_of_cost,
    measure_alternative,
)
from simpletuner.assemble.planning.figures import Alternative, Shape
from tests.assemble.conftest import dataset, loaded_run, write_scenes
from tests.assemble.planning.conftest import World

CHECKPOINTING = ("gradient_checkpointing=true",)
INT8 = ("base_model_precision=int8-quanto",)
NF4 = ("base_model_precision=nf4-bnb",)


def shape(micro_batch: int) -> Shape:
    return Shape("cats", "1.0", "64x64", micro_batch, micro_batch, 1, 1, 1, 5, 0)


def single(accumulated: int) -> tuple[str, ...]:
    return ("train_batch_size=1", f"gradient_accumulation_steps={accumulated}")


@pytest.mark.parametrize(
    ("options", "kind", "expected"),
    [
        (
            {"gradient_checkpointing": False, "train_batch_size": 1},
            "cpu",
            [CHECKPOINTING, INT8, CHECKPOINTING + INT8],
        ),
        ({"train_batch_size": 2, "gradient_accumulation_steps": 3}, "cpu", [single(6), INT8, single(6) + INT8]),
        (
            {"train_batch_size": 4},
            "mps",
            [("train_batch_size=2", "gradient_accumulation_steps=2"), single(4), INT8, single(4) + INT8],
        ),
        (
            {"gradient_checkpointing": False, "train_batch_size": 1},
            "cuda",
            [
                CHECKPOINTING,
                INT8,
                NF4,
                ("musubi_blocks_to_swap=8", *CHECKPOINTING),
                ("musubi_blocks_to_swap=16", *CHECKPOINTING),
                ("optimizer=bnb-adamw8bit",),
                CHECKPOINTING + NF4,
            ],
        ),
        (
            {"train_batch_size": 1, "base_model_precision": "int8-quanto", "optimizer": "bnb-adamw8bit"},
            "cuda",
            [("musubi_blocks_to_swap=8",), ("musubi_blocks_to_swap=16",)],
        ),
        ({"train_batch_size": 1, "base_model_precision": "int8-quanto"}, "cpu", []),
        (
            {"model_type": "full", "train_batch_size": 1, "gradient_checkpointing": False},
            "cuda",
            [CHECKPOINTING, ("optimizer=bnb-adamw8bit",)],
        ),
    ],
)
def test_what_is_tried(
    options: dict[str, Any],
    kind: str,
    expected: list[tuple[str, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png"])
    loaded = loaded_run(tmp_path, [dataset("cats")], **options)
    found = candidates(loaded, kind, shape(loaded.config.length.train_batch_size))
    assert list(found) == expected


def test_a_data_sets_own_batch_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png"])
    loaded = loaded_run(tmp_path, [dataset("cats", train_batch_size=8)], train_batch_size=4)
    assert not [words for words in candidates(loaded, "cpu", shape(8)) if "train_batch_size" in words[0]]


def test_the_fastest_that_fits_comes_first() -> None:
    slow, fast = (Alternative((word,), fits=True, seconds=seconds) for word, seconds in (("a", 2.0), ("b", 1.0)))
    lost = Alternative(("c",), fits=False, peak=5)
    assert in_order_of_cost([lost, slow, fast]) == (fast, slow, lost)


def test_what_the_other_process_says() -> None:
    told = {"fits": False, "peak_bytes": 5, "seconds_per_step": None, "pictures_at_once": 0, "said": "no"}
    assert _read(("a=1",), {"shapes": [told]}, b"") == Alternative(("a=1",), False, 5, None, 0, "no")
    out_of_memory = b"a warning\nerror: out of memory: no more\n  cure: less\n"
    assert _read(("a=1",), None, out_of_memory) == Alternative(("a=1",), False, said="out of memory: no more")
    assert _reason(b"\n") == "ended without a word"
    assert _reason(b"Traceback\nValueError: x\n") == "ValueError: x"


def test_options_that_contradict_are_told(world: World) -> None:
    del world
    found = measure_alternative([], ("musubi_blocks_to_swap=8", "gradient_checkpointing=false"), os.environ)
    assert not found.fits
    assert "gradient_checkpointing is off" in found.said


@pytest.mark.long
def test_an_alternative_is_measured_in_a_process_of_its_own(world: World) -> None:
    del world
    found = measure_alternative([], ("train_batch_size=1", "gradient_accumulation_steps=2"), os.environ)
    assert (found.fits, found.at_once, found.said) == (True, 1, "")
    assert found.seconds is not None
    assert found.peak is not None
    assert found.peak > 100_000_000
