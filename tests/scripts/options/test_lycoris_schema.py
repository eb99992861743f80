from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.reading.find import EXAMPLES

FILES = [
    Path(__file__).parents[2] / "fixtures/document/lycoris_config.json",
    *sorted(EXAMPLES.glob("*/lycoris_config.json")),
]
PLAIN = {"algo": "lokr", "multiplier": 1.0, "linear_dim": 10000, "linear_alpha": 1}
Complaints = Callable[[Any], list[str]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_documents_file_and_the_examples_are_in_order(lycoris_complaints: Complaints, file: Path) -> None:
    assert lycoris_complaints(json.loads(file.read_text(encoding="utf-8"))) == []


def test_what_the_program_understands_is_in_order(lycoris_complaints: Complaints) -> None:
    preset = {"target_name": ["layers.0.*"], "use_fnmatch": "true", "name_algo_map": {"layers.0": {"alpha": "2"}}}
    given = {"$schema": "x", "__note": "y", "algo": "LoKr", "factor": "16", "apply_preset": preset}
    assert lycoris_complaints(PLAIN | given) == []


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"algo": "lokre"}, "algo"),
        ({"factor": -2}, "factor"),
        ({"full_matrx": True}, "full_matrx"),
        ({"rs_lora": True}, "rs_lora"),
        ({"apply_preset": {"target_modules": ["Attention"]}}, "apply_preset"),
        ({"apply_preset": {"module_algo_map": {"Attention": {"linear_dim": 1}}}}, "apply_preset"),
        ({"train_norm": True}, "train_norm"),
    ],
)
def test_a_mistake_is_found_at_its_key(lycoris_complaints: Complaints, given: dict[str, Any], where: str) -> None:
    found = lycoris_complaints(PLAIN | given)
    assert any(where in complaint for complaint in found), found


def test_what_must_be_given(lycoris_complaints: Complaints) -> None:
    assert sorted(lycoris_complaints({})) == [
        ": 'linear_alpha' is a required property",
        ": 'multiplier' is a required property",
    ]
