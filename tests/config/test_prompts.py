from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.config.prompts import LibraryPrompt, read_prompts, safe_name
from simpletuner.core.errors import ConfigError


def library(folder: Path, content: object) -> Path:
    file = folder / "library.json"
    file.write_text(json.dumps(content))
    return file


def test_prompts_keep_their_order_and_may_be_objects(tmp_path: Path) -> None:
    content = {"b": "two", "__note": "x", "a": {"prompt": " one ", "adapter_strength": 1}, "c": {"caption": "three"}}
    assert read_prompts(library(tmp_path, content)) == (
        LibraryPrompt("b", "two"),
        LibraryPrompt("a", "one"),
        LibraryPrompt("c", "three"),
    )


@pytest.mark.parametrize("value", ["", "  ", 3, None, [], {}, {"prompt": ""}, {"prompt": 3}])
def test_an_entry_without_a_prompt_is_named(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ConfigError, match="cat: has no prompt"):
        read_prompts(library(tmp_path, {"cat": value}))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"validation": "x"}, "as those of the program itself"),
        ({"a/b": "x", "a:b": "y"}, "as those of 'a/b'"),
        ({"Cat": "x", "cat": "y"}, "as those of 'Cat'"),
        (["x"], "must hold one object"),
    ],
)
def test_pictures_never_share_a_name(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_prompts(library(tmp_path, content))


@pytest.mark.parametrize(
    ("nickname", "name"),
    [("../../x", "x"), ("con", "con_"), ("a/b", "a_b"), ("<token>", "token"), ("...", "prompt"), ("é 猫", "é_猫")],
)
def test_safe_names(nickname: str, name: str) -> None:
    assert safe_name(nickname) == name


@given(st.text(max_size=300))
def test_a_safe_name_stays_in_its_folder(nickname: str) -> None:
    name = safe_name(nickname)
    assert 0 < len(name) <= 65
    assert not set(name) & set('/\\:<>|?*"\0\n')
    assert not name.startswith(".")
