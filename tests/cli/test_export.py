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
        (["--format", "kohya", "--output", "out.safetensors", "--dtype", "bf16"], "only a merged model is rounded"),
        (["--format", "diffusers", "--layout", "official"], "--layout: --format diffusers has diffusers' names"),
        (["--format", "merged", "--strength", "nan"], "'nan' is not a finite number"),
    ],
)
def test_mistakes_are_told(adapter: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = [] if "--output" in words else ["--output", "out"]
    assert run(["export", "--adapter", str(adapter), "--model", "tiny", *output, *words]) == 2
    assert said in capsys.readouterr().err


def test_a_run_is_not_replaced_by_its_export(
    adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--force` is for an earlier export, not for the folder that the adapter lies in."""
    monkeypatch.chdir(tmp_path.parent)
    for output in (str(tmp_path), tmp_path.name, str(tmp_path.parent)):
        words = ["--adapter", str(adapter), "--model", "tiny", "--format", "merged", "--output", output, "--force"]
        assert run(["export", *words]) == 2
        assert "would be replaced, and the adapter with it" in capsys.readouterr().err
    words = ["--adapter", str(adapter), "--model", "tiny", "--format", "kohya", "--output", str(adapter), "--force"]
    assert run(["export", *words]) == 2
    assert adapter.is_file()
