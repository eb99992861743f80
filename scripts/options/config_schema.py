"""The JSON Schema of config.json."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scripts.options.values import COMMENTS, OFF, SHARED, Schema, value_schema
from simpletuner.config.describe import describe
from simpletuner.config.reading.names import DATASET_ONLY
from simpletuner.config.reading.not_here import ABSENT, PAGE
from simpletuner.config.run import OPTIONS

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> Schema:
    """Names are offered bare; they are understood, and checked, with dashes too."""
    required = [name for name, option in OPTIONS.items() if option.declared.is_required()]
    return {
        "$schema": DRAFT,
        "title": "config.json of simpletuner",
        "type": "object",
        "properties": {name: value_schema(option.declared) for name, option in OPTIONS.items()},
        "patternProperties": {**COMMENTS, **dict(_spellings()), **dict(_others())},
        "additionalProperties": False,
        "allOf": [{"anyOf": [{"required": [spelling]} for spelling in _dashed(name)]} for name in required],
        "$defs": SHARED,
    }


def _dashed(name: str) -> tuple[str, ...]:
    return name, f"--{name}", f"--{name.replace('_', '-')}", name.replace("_", "-")


def _pattern(name: str) -> str:
    return rf"^-*{re.escape(name).replace('_', '[-_]')}$"


def _spellings() -> Iterator[tuple[str, Schema]]:
    for name, option in OPTIONS.items():
        own = {"$ref": f"#/properties/{name}"}
        yield _pattern(name), own
        for former in describe(option).former:
            yield _pattern(former), {**own, "deprecated": True, "description": f"Now called {name}."}


def _others() -> Iterator[tuple[str, Schema]]:
    """What is not read, what is not here: the latter only switched off."""
    for name in sorted(DATASET_ONLY):
        yield _pattern(name), {"deprecated": True, "description": "Belongs into an entry of the dataloader file."}
    for group in ABSENT:
        told = {**OFF, "deprecated": True, "description": f"Not here ({PAGE}): it {group.reason}."}
        yield from ((_pattern(name), told) for name in group.names)
        yield from ((_pattern(beginning).removesuffix("$"), told) for beginning in group.beginnings)
