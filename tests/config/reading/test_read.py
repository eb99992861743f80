from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.config.reading.read import read_json, read_object, read_options
from simpletuner.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{\n  "a": 1,\n}', "a comma before the closing '}' (line 2, column 9)"),
        ("[1, 2,\n]", "a comma before the closing ']' (line 1, column 6)"),
        ('{"a": 1, "b": 2,\n "a": 3}', "a: stands twice in one object (lines 1, 2)"),
        ('{"a": 1\n "b": 2}', "a comma is missing after this (line 1, column 7)"),
        ('{\n// note\n"a": 1}', "JSON has no comments (line 2, column 1)"),
        ("{'a': 1}", "text in single quotes (line 1, column 2)"),
        ('{"a": NaN}', "NaN is not a number that JSON has"),
        ('{"a": 1', "(line 1, column 8)"),
        ("", "is empty"),
        (" \n ", "is empty"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_json(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xef\xbb\xbf{}", "byte-order mark"),
        ('{"a": 1}'.encode("utf-16"), "byte-order mark"),
        (b'{"a":\n"\xff"}', r"is not UTF-8 text \(line 2\)"),
    ],
)
def test_other_encodings_are_refused(tmp_path: Path, content: Any, told: str) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        read_json(file)


def test_a_folder_and_a_list_are_no_object(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_json(tmp_path)
    file = tmp_path / "a.json"
    file.write_text("[1]")
    with pytest.raises(ConfigError, match="one object"):
        read_object(file)


@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_bytes(content)
    try:
        read_json(file)
    except ConfigError as error:
        assert str(file) in str(error)


@given(content=st.text(alphabet='{}[]",:1a \n', max_size=30))
def test_any_jumble_of_signs_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "jumble.json"
    file.write_text(content)
    try:
        read_json(file)
    except ConfigError as error:
        assert str(file) in str(error)


def test_the_three_formats_say_the_same(tmp_path: Path) -> None:
    texts = {
        "json": '{"--learning_rate": "4e-5", "max_train_steps": 10}',
        "toml": "learning_rate = 4e-5\nmax_train_steps = 10\n",
        "env": "# note\nexport LEARNING_RATE='4e-5'\nMAX_NUM_STEPS=10\nPATH=/bin\n",
    }
    for kind, text in texts.items():
        file = tmp_path / f"config.{kind}"
        file.write_text(text)
        given_values = {key.lstrip("-"): float(value) for key, value in read_options(file, kind).items()}
        assert given_values == {"learning_rate": 4e-5, "max_train_steps": 10}


def test_toml_mistakes_have_a_place(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("a = 1\nb =\n")
    with pytest.raises(ConfigError, match=r"invalid TOML: .*line 2") as caught:
        read_options(file, "toml")
    assert "write name = value on a line of its own" in str(caught.value.cure)
