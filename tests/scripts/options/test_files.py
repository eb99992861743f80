"""What follows from the declaration is as fresh as the declaration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.options.files import SCHEMAS, made_files

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", sorted(made_files()))
def test_a_file_is_what_the_declaration_says(path: str) -> None:
    written = (ROOT / path).read_text(encoding="utf-8")
    assert written == made_files()[path], f"{path} is stale: run `python -m scripts.options`"


def test_schemas_are_json_with_a_line_for_each_property() -> None:
    text = made_files()[f"{SCHEMAS}/config.schema.json"]
    schema = json.loads(text)
    (line,) = [line for line in text.splitlines() if line.startswith('  "learning_rate": ')]
    assert json.loads(f"{{{line.rstrip(',')}}}") == {"learning_rate": schema["properties"]["learning_rate"]}


def test_the_script_finds_nothing_to_do() -> None:
    words = [sys.executable, "-m", "scripts.options", "--check"]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
