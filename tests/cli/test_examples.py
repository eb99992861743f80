from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.cli.examples import copy_example, list_examples
from simpletuner.config.reading.find import example_folder
from simpletuner.core.errors import ConfigError


def test_the_list_is_plain_names_and_notes_say_what_each_is(capsys: pytest.CaptureFixture[str]) -> None:
    list_examples()
    captured = capsys.readouterr()
    assert captured.out.split() == ["emoji-style", "emoji-subject"]
    assert "turns the tiny OmniGen's emoji flat" in captured.err
    assert "teaches the tiny OmniGen one new subject" in captured.err
    assert "examples copy" in captured.err


def test_a_copy_holds_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy_example("emoji-style", tmp_path / "mine")
    source = {path.relative_to(example_folder("emoji-style")) for path in example_folder("emoji-style").rglob("*")}
    assert source == {path.relative_to(tmp_path / "mine") for path in (tmp_path / "mine").rglob("*")}
    assert f"--config {tmp_path / 'mine' / 'config.json'}" in capsys.readouterr().out


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    for destination in (tmp_path, kept):
        with pytest.raises(ConfigError, match="exists and is not an empty folder"):
            copy_example("emoji-style", destination)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_an_empty_folder_will_do_and_an_unknown_name_gets_a_hint(tmp_path: Path) -> None:
    copy_example("emoji-style", tmp_path)
    assert (tmp_path / "images").is_dir()
    with pytest.raises(ConfigError, match="did you mean 'emoji-style'"):
        copy_example("emoji-stile", tmp_path / "x")
