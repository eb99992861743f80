from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.files.prompts import LibraryPrompt, read_prompts
from simpletuner.core.errors import ConfigError


def library(folder: Path, content: object) -> Path:
    file = folder / "library.json"
    file.write_text(json.dumps(content))
    return file


def test_prompts_keep_their_order_and_may_be_objects(tmp_path: Path) -> None:
    content = {"b": "two", "__note": "x", "a": {"prompt": " one ", "adapter_strength": 1}, "c": {"caption": "three"}}
    assert read_prompts(library(tmp_path, content)) == (
        LibraryPrompt("b", "two"),
        LibraryPrompt("a", "one", 1.0),
        LibraryPrompt("c", "three"),
    )


@pytest.mark.parametrize("value", ["", "  ", 3, None, [], {}, {"prompt": ""}, {"prompt": 3}])
def test_an_entry_without_a_prompt_is_named(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ConfigError, match="cat: has no prompt"):
        read_prompts(library(tmp_path, {"cat": value}))


@pytest.mark.parametrize("strength", ["strong", [1], "nan", {}])
def test_a_strength_is_a_number(tmp_path: Path, strength: Any) -> None:
    with pytest.raises(ConfigError, match=r"cat\.adapter_strength: is no strength"):
        read_prompts(library(tmp_path, {"cat": {"tags": "a cat", "adapter_strength": strength}}))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"": "x"}, "a prompt has no nickname"),
        ({" ": "x"}, "a prompt has no nickname"),
        (["x"], "must hold one object"),
    ],
)
def test_what_cannot_be_named_is_refused(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_prompts(library(tmp_path, content))


def test_any_other_nickname_stays_as_it_is(tmp_path: Path) -> None:
    content = {"validation": "a", "a/b": "b", "a:b": "c", "Cat": "d", "cat": "e"}
    assert [prompt.nickname for prompt in read_prompts(library(tmp_path, content))] == list(content)
