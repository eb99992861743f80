"""Commands with places for values: no value ever becomes a second word, a program or a shell's business."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.config.reading.scripts import filled, script_problem

HOSTILE = "a b; $(touch /tmp/x) `id` 'q' \"d\" | & > < * ? {model_type} \n --help"


def test_a_hostile_value_stays_one_word(tmp_path: Path) -> None:
    words = filled("printf %s {tracker_run_name}", {"tracker_run_name": HOSTILE, "model_type": "lora"})
    assert words == ["printf", "%s", HOSTILE]
    assert subprocess.run(words, capture_output=True, check=True, cwd=tmp_path).stdout.decode() == HOSTILE
    assert list(tmp_path.iterdir()) == []


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_value_stays_one_word(value: str) -> None:
    assert filled("copy 'to {global_step}' x{global_step}y", {"global_step": value}) == [
        "copy",
        f"to {value}",
        f"x{value}y",
    ]


@pytest.mark.parametrize(
    "script",
    [
        "./copy.sh {local_checkpoint_path} {global_step}",
        "rsync -a {local_checkpoint_path}/ host:{tracker_run_name}",
        "echo {validation_prompt} {model_family}",
        "sh -c 'cp -r \"$1\" /backup' sh {local_checkpoint_path}",
    ],
)
def test_commands_that_can_be_started(script: str) -> None:
    assert script_problem(script) is None


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'open", "cannot be split"),
        ("  ", "names no program"),
        ("echo {global_stap}", "nothing is called {global_stap}"),
        ("echo {remote_checkpoint_path}", "is known after an upload only"),
        ("echo {huggingface_path}", "is known after an upload only"),
        ("sh -c 'echo {tracker_run_name}'", "a part of the program after -c"),
        ("bash -lc 'echo {global_step}'", "a part of the program after -lc"),
        ("python -c 'print({global_step})'", "a part of the program after -c"),
    ],
)
def test_commands_that_cannot(script: str, told: str) -> None:
    found = script_problem(script)
    assert found is not None
    assert told in found[0]
