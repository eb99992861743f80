from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.config.reading.find import EXAMPLES, Selection, example_folder, example_names, find_config, locate
from simpletuner.core.errors import ConfigError


def write(path: Path, text: str = "{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_current_folder_comes_before_config(tmp_path: Path) -> None:
    below = write(tmp_path / "config" / "config.json")
    assert find_config(Selection(), tmp_path, {}).file == below
    here = write(tmp_path / "config.json")
    found = find_config(Selection(), tmp_path, {})
    assert (found.file, found.name, found.folder) == (here, "default", tmp_path)


def test_json_then_toml_then_env(tmp_path: Path) -> None:
    for kind in ("env", "toml", "json"):
        file = write(tmp_path / "config" / f"config.{kind}", "")
        assert find_config(Selection(), tmp_path, {}).file == file
    assert find_config(Selection(backend="toml"), tmp_path, {}).backend == "toml"
    assert find_config(Selection(), tmp_path, {"CONFIG_BACKEND": "env"}).backend == "env"


def test_a_named_environment_is_searched_in_order(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    environ = {"HOME": str(home), "SIMPLETUNER_CONFIG_DIR": str(elsewhere)}
    for folder in (elsewhere, home / "config", tmp_path / "config", tmp_path):
        file = write(folder / "cats" / "config.json")
        assert find_config(Selection(environment="cats"), tmp_path, environ).file == file


def test_the_first_variable_that_says_something_names_the_environment(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        write(tmp_path / "config" / name / "config.json")
    environ = {"ENV": "three", "SIMPLETUNER_ENV": "two", "SIMPLETUNER_ENVIRONMENT": ""}
    assert find_config(Selection(), tmp_path, environ).name == "two"
    assert find_config(Selection(environment="one"), tmp_path, environ).name == "one"


def test_env_files_name_the_environment_and_reach_the_run(tmp_path: Path) -> None:
    write(tmp_path / "config" / "config.env", "ENV=cats\nA=shared\nB=shared\n")
    write(tmp_path / "config" / "cats" / "config.env", "C=own\n")
    file = write(tmp_path / "config" / "cats" / "config.json")
    found = find_config(Selection(), tmp_path, {"A": "process"})
    assert found.file == file
    assert (found.environ["A"], found.environ["B"], found.environ["C"]) == ("process", "shared", "own")


def test_config_path_is_a_file_a_folder_or_a_stem(tmp_path: Path) -> None:
    file = write(tmp_path / "deep" / "config.json")
    for given in ("deep", "deep/config.json", "deep/config", str(file)):
        assert find_config(Selection(), tmp_path, {"CONFIG_PATH": given}).file == file
    with pytest.raises(ConfigError, match="CONFIG_PATH points at no file"):
        find_config(Selection(), tmp_path, {"CONFIG_PATH": "nowhere"})


def test_a_given_file_is_taken_and_named(tmp_path: Path) -> None:
    cats, plain = write(tmp_path / "cats" / "config.json"), write(tmp_path / "dogs.toml", "")
    assert find_config(Selection(config_file=Path("cats/config.json")), tmp_path, {}).name == "cats"
    assert find_config(Selection(config_file=Path("cats")), tmp_path, {}).file == cats
    found = find_config(Selection(config_file=plain), tmp_path, {})
    assert (found.name, found.backend) == ("dogs", "toml")
    with pytest.raises(ConfigError, match=r"absent\.json: config: there is no such file"):
        find_config(Selection(config_file=Path("absent.json")), tmp_path, {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ConfigError, match=r"empty: config: holds no config\.json and no config\.toml and no config\.env"
    ):
        find_config(Selection(config_file=Path("empty")), tmp_path, {})
    with pytest.raises(ConfigError, match=r"cats: config: holds no config\.toml\n"):
        find_config(Selection(config_file=Path("cats"), backend="toml"), tmp_path, {})
    with pytest.raises(ConfigError, match="its name tells no format"):
        find_config(Selection(config_file=write(tmp_path / "notes.txt")), tmp_path, {})


def test_nothing_found_lists_every_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(Selection(), tmp_path, {"ENV": "absent", "HOME": "/home/me"})
    message = str(caught.value)
    assert "no configuration named 'absent' (the name stands in the environment variable ENV)" in message
    for place in (tmp_path, tmp_path / "config", Path("/home/me/config"), EXAMPLES):
        assert f"tried {place / 'absent' / 'config.json'}" in message


def test_without_any_configuration_the_wizard_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration was found") as caught:
        find_config(Selection(), tmp_path, {})
    assert "simpletuner configure" in str(caught.value.cure)
    assert "simpletuner train --example emoji-style" in str(caught.value.cure)


def test_selectors_exclude_each_other_and_formats_are_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="env and example exclude each other"):
        find_config(Selection(environment="a", example="b"), tmp_path, {})
    with pytest.raises(ConfigError, match="unknown format 'yaml'"):
        find_config(Selection(backend="yaml"), tmp_path, {})


def test_examples_by_name() -> None:
    assert "emoji-style" in example_names()
    assert example_folder("emoji-style").is_dir()
    with pytest.raises(ConfigError, match="did you mean 'emoji-style'"):
        example_folder("emoji-styl")


def test_a_file_is_looked_for_beside_the_configuration_first(tmp_path: Path) -> None:
    write(tmp_path / "config" / "config.json")
    found = find_config(Selection(), tmp_path, {"HOME": str(tmp_path / "home")})
    far = write(tmp_path / "a.json")
    assert locate("a.json", "lycoris_config", found, tmp_path) == far
    near = write(tmp_path / "config" / "a.json")
    assert locate("a.json", "lycoris_config", found, tmp_path) == near
    assert locate(str(far), "lycoris_config", found, tmp_path) == far
    home = write(tmp_path / "home" / "b.json")
    assert locate("~/b.json", "lycoris_config", found, tmp_path) == home
