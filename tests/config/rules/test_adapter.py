from __future__ import annotations

from typing import Any

import pytest

from simpletuner.config.reading.fill import Source, fill
from simpletuner.config.rules.adapter import start_problems
from simpletuner.config.run import SECTIONS, RunConfig

NEEDED = {"model_type": "lora", "model_family": "omnigen", "output_dir": "output", "max_train_steps": 10}


def told(**given: Any) -> list[str]:
    filled = {name: fill(kind, NEEDED | given, Source("config.json")) for name, kind in SECTIONS.items()}
    assert not [problem for _, problems in filled.values() for problem in problems]
    config = RunConfig.model_validate({name: section for name, (section, _) in filled.items()})
    return [problem.message() for problem in start_problems(config, Source("config.json"))]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"init_lora_step": 3}, "init_lora_step: is given without init_lora"),
        ({"init_lora_ema": "e.safetensors", "use_ema": "true"}, "init_lora_ema: is given without init_lora"),
        (
            {"init_lora": "a.safetensors", "init_lora_ema": "e.safetensors"},
            "init_lora_ema: is given, and use_ema is off",
        ),
        ({"init_lora": "a.safetensors", "init_lokr_norm": 0.001}, "init_lokr_norm: is given with init_lora"),
        ({"init_lora": "a.safetensors", "init_lora_step": 10}, "10 must be below max_train_steps (10)"),
        (
            {"init_lora": "a.safetensors", "init_lora_step": 3, "resume_from_checkpoint": "checkpoint-2"},
            "the run goes on from checkpoint-2",
        ),
    ],
)
def test_contradictions(given: Any, words: str) -> None:
    (only,) = told(**given)
    assert words in only


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"init_lokr_norm": "0.001"},
        {"init_lora": "a.safetensors", "init_lora_step": "0"},
        {"init_lora": "a.safetensors", "init_lora_step": 9, "init_lora_ema": "e.safetensors", "use_ema": "true"},
        {"init_lora": "a.safetensors", "init_lora_step": 9, "max_train_steps": 0, "num_train_epochs": 2},
    ],
)
def test_what_goes_together(given: Any) -> None:
    assert told(**given) == []
