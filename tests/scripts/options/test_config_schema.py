from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from scripts.options.config_schema import config_schema
from simpletuner.config.lenient import allowed_values, plain_type
from simpletuner.config.reading.fill import Source, fill
from simpletuner.config.reading.find import EXAMPLES
from simpletuner.config.run import OPTIONS, SECTIONS

ROOT = Path(__file__).parents[3]
FILES = [
    ROOT / "tests/fixtures/document/config.json",
    *sorted(EXAMPLES.glob("*/config.json")),
]
NEEDED = {"model_type": "lora", "model_family": "omnigen", "output_dir": "out"}
Complaints = Callable[[Any], list[str]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_documents_file_and_the_examples_are_in_order(config_complaints: Complaints, file: Path) -> None:
    assert config_complaints(json.loads(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "given",
    [
        {"$schema": "config.schema.json", "__note": "mine"},
        {"--learning_rate": "4e-5", "--report-to": "none", "lr-scheduler": "constant"},
        {"use_ema": "on", "train_batch_size": "20", "seed": None, "validation_prompt": ""},
        {"aspect_bucket_alignment": "64", "max_train_steps": "{env:STEPS}"},
        {"webhook_config": [{"webhook_type": "raw"}], "validation_resolution": [512, "768x512"]},
        {"validation_steps": 5, "vae_cache_preprocess": False, "repeats": 3},
        {"controlnet": False, "flux_guidance_value": 0},
        {"lr_scheduler": "cosine_with_warmup"},
    ],
)
def test_what_the_program_understands_is_in_order(config_complaints: Complaints, given: dict[str, Any]) -> None:
    assert config_complaints(NEEDED | given) == []


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"lerning_rate": 1e-4}, "lerning_rate"),
        ({"train_batch_size": 0}, "train_batch_size"),
        ({"train_batch_size": "many"}, "train_batch_size"),
        ({"train_batch_size": 1.5}, "train_batch_size"),
        ({"--train-batch-size": -1}, "--train-batch-size"),
        ({"ema_decay": 2}, "ema_decay"),
        ({"optimizer": "adamw9000"}, "optimizer"),
        ({"use_ema": "perhaps"}, "use_ema"),
        ({"aspect_bucket_alignment": 24}, "aspect_bucket_alignment"),
        ({"optimizer_release_gradients": True}, "optimizer_release_gradients"),
        ({"controlnet": True}, "controlnet"),
        ({"distillation_config": {"a": 1}}, "distillation_config"),
        ({"learning_rate": {"a": 1}}, "learning_rate"),
        ({"validation_steps": "x"}, "validation_steps"),
    ],
)
def test_a_mistake_is_found_at_its_key(config_complaints: Complaints, given: dict[str, Any], where: str) -> None:
    found = config_complaints(NEEDED | given)
    assert any(where in complaint for complaint in found), found


def test_what_must_be_given_may_have_dashes(config_complaints: Complaints) -> None:
    assert config_complaints({f"--{name}": value for name, value in NEEDED.items()}) == []
    assert len(config_complaints({})) == len(NEEDED)


def _attempts(name: str) -> list[Any]:
    declared = OPTIONS[name].declared
    usual = [True, False, 0, 1, 64, -1, 0.5, "", None, " on ", "YES", "12", "1e-3", "x", "{env:X}", [], ["a"], [1, 2]]
    return [*usual, *allowed_values(declared.annotation), plain_type(declared.annotation) is bool]


@pytest.mark.parametrize("section", SECTIONS)
def test_an_editor_is_never_stricter_than_the_program(section: str) -> None:
    kind, schema = SECTIONS[section], config_schema()
    for name in kind.model_fields:
        # The property alone: the patterns of all names take most of the time.
        judge = Draft202012Validator({**schema["properties"][name], "$defs": schema["$defs"]})
        for value in _attempts(name):
            if not judge.is_valid(value):
                _, problems = fill(kind, NEEDED | {name: value}, Source("config.json"))
                assert problems, (name, value)
