from __future__ import annotations

import json
from pathlib import Path

import pytest

from simpletuner.assemble.configure.saving import changes, save
from simpletuner.core.errors import ConfigError


def test_new_files_are_written_and_equal_ones_left_alone(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('{"z": 1,\n\n   "y": [2]}')
    made = changes({"a": {"x": "猫"}, "b": {"y": [2], "z": 1}}, {"a": tmp_path / "in/a.json", "b": tmp_path / "b.json"})
    assert [one.path.name for one in made] == ["a.json"]
    assert made[0].is_new
    assert save(made) == ()
    assert (tmp_path / "in/a.json").read_text() == '{\n  "x": "猫"\n}\n'


def test_the_former_file_is_kept_and_set_in_as_before(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{\n    "x": 1,\n    "y": 2\n}')
    (tmp_path / "a.json.bak").write_text("an older one")
    (made,) = changes({"a": {"x": 1, "y": 3}}, {"a": file})
    assert '+    "y": 3' in made.diff()
    assert 'x": 1' in made.diff()
    assert save([made]) == (tmp_path / "a.json.bak-2",)
    assert (tmp_path / "a.json.bak-2").read_text() == '{\n    "x": 1,\n    "y": 2\n}'
    assert file.read_text() == '{\n    "x": 1,\n    "y": 3\n}\n'
    assert (tmp_path / "a.json.bak").read_text() == "an older one"


def test_a_file_that_is_no_json_is_replaced_and_kept(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff{")
    kept = save(changes({"a": {}}, {"a": tmp_path / "a.json"}))
    assert kept[0].read_bytes() == b"\xff{"
    assert json.loads((tmp_path / "a.json").read_text()) == {}


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        changes({"a": {}}, {"a": tmp_path / "a.json"})


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = changes({"a": {"x": 1}}, {"a": tmp_path / "a.json"})
    wrong = [made[0].__class__(tmp_path / "file" / "a.json", None, {})]
    with pytest.raises(ConfigError, match="cannot be written"):
        save([*made, *wrong])
    # The last of them is written first, and nothing after it failed.
    assert not (tmp_path / "a.json").exists()
