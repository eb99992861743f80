from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.cli.export import parse
from simpletuner.cli.main import run


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    path = tmp_path / "adapter.safetensors"
    path.touch()
    return path


def test_words_become_what_is_asked(adapter: Path) -> None:
    words = ["--adapter", str(adapter), "--model", "tiny", "--output", "out"]
    asked = parse([*words, "--format", "merged", "--layout", "official", "--dtype", "bf16", "--strength", "2.5"])
    assert asked is not None
    assert (asked.to, asked.layout, asked.dtype, asked.strength, asked.force) == (
        "merged",
        "official",
        "bf16",
        2.5,
        False,
    )
    assert asked.base.name == "tiny"
    assert parse(["--help"]) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing option '--format'"),
        (["--format", "webui"], "'webui' is not one of"),
        (["--format", "kohya", "--output", "out"], "must be a .safetensors file"),
        (["--format", "merged", "--output", "out.safetensors"], "must be a folder"),
        (["--format", "kohya", "--output", "out.safetensors", "--strength", "2"], "only a merged model has a strength"),
        (["--format", "kohya", "--output", "out.safetensors"], "cannot be read"),
    ],
)
def test_mistakes_are_told(adapter: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = [] if "--output" in words else ["--output", "out"]
    assert run(["export", "--adapter", str(adapter), "--model", "tiny", *output, *words]) == 2
    assert said in capsys.readouterr().err
