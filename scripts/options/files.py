"""Every file that follows from the declaration, by its path in the repository."""

from __future__ import annotations

import json
from typing import Any

from scripts.options.absent_page import absent_page
from scripts.options.config_schema import config_schema
from scripts.options.dataset_schema import dataloader_schema
from scripts.options.lycoris_schema import lycoris_schema
from scripts.options.page import options_page

SCHEMAS = "src/simpletuner/config/schemas"


def made_files() -> dict[str, str]:
    """Path to content."""
    return {
        "docs/options.md": options_page(),
        "docs/not-here.md": absent_page(),
        f"{SCHEMAS}/config.schema.json": _json(config_schema()),
        f"{SCHEMAS}/dataloader.schema.json": _json(dataloader_schema()),
        f"{SCHEMAS}/lycoris.schema.json": _json(lycoris_schema()),
    }


def _json(schema: dict[str, Any]) -> str:
    """A line for each property, so that a change is a line too."""
    parts = [f" {json.dumps(key)}: {_lines(value)}" for key, value in schema.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    lines = [f"  {json.dumps(key)}: {json.dumps(inner, ensure_ascii=False)}" for key, inner in value.items()]
    return "{\n" + ",\n".join(lines) + "\n }"
