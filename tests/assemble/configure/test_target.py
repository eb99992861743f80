from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.assemble.configure.target import find_target
from simpletuner.config.reading.find import Selection, find_config
from simpletuner.core.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "file", "words"),
    [
        (None, "config/config.json", ()),
        ("config/config.json", "config/config.json", ()),
        ("config", "config/config.json", ()),
        ("config/cats", "config/cats/config.json", ("env=cats",)),
        ("config/cats/config.json", "config/cats/config.json", ("env=cats",)),
        ("config/cats.json", "config/cats.json", ("--config", "config/cats.json")),
        ("elsewhere/deep", "elsewhere/deep/config.json", ("--config", "elsewhere/deep/config.json")),
        ("config.json", "config.json", ()),
    ],
)
def test_the_words_find_what_was_written(tmp_path: Path, given: str | None, file: str, words: tuple[str, ...]) -> None:
    target = find_target(Path(given) if given else None, tmp_path)
    assert (target.file, target.words) == (tmp_path / file, words)
    target.file.parent.mkdir(parents=True, exist_ok=True)
    target.file.write_text("{}")
    chosen = Selection(
        environment=words[0].removeprefix("env=") if len(words) == 1 else None,
        config_file=Path(words[1]) if len(words) == 2 else None,
    )
    assert find_config(chosen, tmp_path, {"HOME": str(tmp_path / "home")}).file == tmp_path / file


def test_without_a_path_it_is_the_one_that_train_reads(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert find_target(None, tmp_path).file == tmp_path / "config.json"
    # Then config/config.json is another one, and needs its path.
    assert find_target(Path("config"), tmp_path).command("check") == "simpletuner check --config config/config.json"


@pytest.mark.parametrize("name", ["config.toml", "config.env"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="writes JSON"):
        find_target(Path(name), tmp_path)
