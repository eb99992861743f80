from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parents[3] / "src/simpletuner/config/schemas"
Complaints = Callable[[Any], list[str]]


def complaints_of(name: str) -> Complaints:
    """What a JSON Schema finds wrong, each with the path of its value."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    return lambda content: [
        f"{'/'.join(str(part) for part in error.absolute_path)}: {error.message}"
        for error in validator.iter_errors(content)
    ]


@pytest.fixture(scope="session")
def config_complaints() -> Complaints:
    return complaints_of("config")


@pytest.fixture(scope="session")
def dataloader_complaints() -> Complaints:
    return complaints_of("dataloader")


@pytest.fixture(scope="session")
def lycoris_complaints() -> Complaints:
    return complaints_of("lycoris")
